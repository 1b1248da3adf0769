"""WebRTC: the envelope over a data channel, and pictures and sound beside it."""
