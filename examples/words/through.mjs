// Call words.shout with the TypeScript client:  node through.mjs [URL]
import { Sensorium } from "../../clients/typescript/dist/index.js";

const client = new Sensorium({ url: process.argv[2] ?? "http://127.0.0.1:8484" });
console.log("typescript:", (await client.words.shout({ text: "hello" })).text);
