// A stranger's client: the .proto files, @grpc/grpc-js, nothing generated.
//
//     node check.mjs HOST:PORT PROTO_FOLDER
//
// Prints one JSON object of what it saw; the test judges it.
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createRequire } from "node:module";

const [address, protos] = process.argv.slice(2);
// Modules are installed beside the working folder, not beside this file.
const require = createRequire(pathToFileURL(path.join(process.cwd(), "index.js")));
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const options = { keepCase: true, longs: String, enums: String, defaults: false, oneofs: true, includeDirs: [protos] };
const files = ["gateway", "advisor", "savings"].map((name) => `scrimp/v1/${name}.proto`);
const { v1 } = grpc.loadPackageDefinition(loader.loadSync(files, options)).scrimp;
const health = grpc.loadPackageDefinition(
  loader.loadSync(path.join(path.dirname(fileURLToPath(import.meta.url)), "health.proto"), options),
).grpc.health.v1;
const open = (Service) => new Service(address, grpc.credentials.createInsecure());

const unary = (client, method, request) =>
  new Promise((resolve, reject) =>
    client[method](request, { deadline: Date.now() + 20_000 }, (error, response) =>
      error ? reject(error) : resolve(response),
    ),
  );

const streamed = (client, method, request) =>
  new Promise((resolve, reject) => {
    const events = [];
    client[method](request, { deadline: Date.now() + 20_000 })
      .on("data", (event) => events.push(event))
      .on("error", reject)
      .on("end", () => resolve(events));
  });

const gateway = open(v1.Gateway);
const advisor = open(v1.Advisor);
const chat = (text, more = {}) => ({
  namespace: "node",
  messages: [{ role: "ROLE_USER", parts: [{ text }] }],
  ...more,
});

const seen = {};
seen.health = await unary(open(health.Health), "Check", { service: "scrimp.v1.Gateway" });
seen.miss = await unary(gateway, "Complete", { request: chat("How do volcanoes form?") });
seen.hit = await unary(gateway, "Complete", { request: chat("How do volcanoes form?") });
seen.events = await streamed(gateway, "StreamComplete", { request: chat("How do volcanoes form?") });
seen.advice = await unary(advisor, "LookUp", { request: chat("How is glass made?") });
seen.stored = await unary(advisor, "Store", {
  ticket: seen.advice.advice.ticket.token,
  namespace: "node",
  answer: { text: "From sand.", finish_reason: "stop" },
  usage: { input_tokens: 10, output_tokens: 3 },
  model: "small",
});
seen.looked_up = await unary(advisor, "LookUp", { request: chat("How is glass made?") });
seen.savings = await unary(open(v1.Savings), "GetSavings", { filter: { namespace: "node" } });
seen.refused = await unary(gateway, "Complete", { request: {} }).catch((error) => ({
  code: error.code,
  details: error.details,
}));
process.stdout.write(JSON.stringify(seen));
process.exit(0);
