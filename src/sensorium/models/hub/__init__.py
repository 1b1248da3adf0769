"""Fetching models: from a hub, from a web address, from a folder of this machine."""
