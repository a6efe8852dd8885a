// node try.mjs translate es en "¿Dónde está la biblioteca?"    whole
// node try.mjs stream es en "¿Dónde está la biblioteca?"       token by token
// node try.mjs session "play some jazz on spotify"             a label after each word, over a stream that breaks

import { Client } from "./seqserve.mjs";

const client = new Client();
const model = process.env.SEQSERVE_MODEL ?? "";
const [command, ...rest] = process.argv.slice(2);

const COMMANDS = {
  async translate(sourceLanguage, targetLanguage, ...texts) {
    for (const line of await client.translate(texts, { name: model, sourceLanguage, targetLanguage })) console.log(line);
  },

  async stream(sourceLanguage, targetLanguage, text) {
    for await (const piece of client.stream(text, { name: model, sourceLanguage, targetLanguage })) {
      process.stdout.write(piece);
    }
    console.log();
  },

  async session(text) {
    const session = await client.session({ name: model || "snips-intents" });
    for (const [number, word] of text.split(" ").entries()) {
      if (number === 2) session.break();
      const [best] = await session.feed(`${word} `);
      console.log(word, best?.label ?? "-", (best?.probability ?? 0).toFixed(6));
    }
    await session.close();
    console.log(`${session.turn} turns, resumed ${session.resumed} times`);
  },
};

try {
  await COMMANDS[command](...rest);
} finally {
  client.close();
}
