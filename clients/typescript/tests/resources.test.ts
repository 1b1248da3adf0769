import assert from "node:assert/strict";
import { test } from "node:test";
import { OverloadedError, Sensorium, allocateResources } from "../src/index.js";
import { type Paths, key, url } from "./server.js";

const MIB = 1 << 20;
const sensorium = new Sensorium<Paths>({ url, key });

async function leased(purpose: string): Promise<number> {
  const usage = await sensorium.resources.usage();
  return usage.leases.filter((each) => each.purpose === purpose).length;
}

test("memory is leased, renewed while it is wanted, and given back", async () => {
  const purpose = "renewed";
  const allocation = await allocateResources(sensorium, {
    sizeBytes: MIB,
    devices: ["cpu"],
    durationS: 2,
    purpose,
  });
  assert.equal(allocation.device, "cpu");
  assert.equal(allocation.sizeBytes, MIB);
  const until = Date.now() + 5000;
  while (Date.now() < until) {
    assert.equal(await leased(purpose), 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await allocation.release();
  assert.equal(await leased(purpose), 0);
  assert.equal(allocation.lost.aborted, false);
});

test("what a higher priority takes is known to be lost", async () => {
  const [device] = (await sensorium.resources.usage()).devices;
  assert.ok(device);
  const most = Math.floor(device.free_bytes * 0.6);
  const low = await allocateResources(sensorium, {
    sizeBytes: most,
    devices: [device.device],
    priority: 1,
    durationS: 2,
  });
  const wanted = { sizeBytes: most, devices: [device.device], priority: 99 };
  await assert.rejects(allocateResources(sensorium, wanted), OverloadedError);
  const high = await allocateResources(sensorium, { ...wanted, preempt: true });
  while (!low.lost.aborted) await new Promise((resolve) => setTimeout(resolve, 20));
  await low.release();
  await high.release();
});
