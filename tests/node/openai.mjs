// OpenAI's own client for Node, with nothing changed but its base URL.
//
//     node openai.mjs BASE_URL
//
// Prints one JSON object of what it saw; the test judges it.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { createRequire } from "node:module";

const [baseURL] = process.argv.slice(2);
// Modules are installed beside the working folder, not beside this file.
const require = createRequire(pathToFileURL(path.join(process.cwd(), "index.js")));
const { OpenAI } = require("openai");

const openai = new OpenAI({
  baseURL,
  apiKey: "unused",
  maxRetries: 0,
  defaultHeaders: { "x-scrimp-namespace": "node" },
});
const messages = [{ role: "user", content: "How do volcanoes form?" }];
const asked = { model: "auto", messages };
const weather = {
  type: "function",
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

const seen = {};
const { data: miss, response } = await openai.chat.completions.create(asked).withResponse();
seen.miss = miss;
seen.headers = Object.fromEntries([...response.headers].filter(([name]) => name.startsWith("x-scrimp-")));
seen.hit = (await openai.chat.completions.create(asked).withResponse()).response.headers.get("x-scrimp-cache");
seen.chunks = [];
const stream = await openai.chat.completions.create({
  ...asked,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) seen.chunks.push(chunk);
seen.tools = await openai.chat.completions.create({
  ...asked,
  messages: [{ role: "user", content: "What is the weather?" }],
  tools: [weather],
});
seen.models = (await openai.models.list()).data.map((model) => model.id);
seen.embedding = (await openai.embeddings.create({ model: "scrimp-encoder", input: "hello" })).data[0].embedding.length;
seen.refused = await openai.chat.completions
  .create({ ...asked, model: "gpt-9" })
  .catch((error) => ({ status: error.status, code: error.code, name: error.constructor.name }));
process.stdout.write(JSON.stringify(seen));
process.exit(0);
