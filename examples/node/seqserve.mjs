// A small client for Node, made from the protos when it starts: translate, stream, and sessions that go on after a break.

import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const PROTOS = process.env.SEQSERVE_PROTOS ?? fileURLToPath(new URL("../../protos", import.meta.url));
const FORM = { keepCase: false, longs: Number, enums: String, defaults: true, oneofs: true };
const { v1 } = grpc.loadPackageDefinition(
  loader.loadSync("seqserve/v1/sequence.proto", { includeDirs: [PROTOS], ...FORM }),
).seqserve;
const PATIENCE_MS = 60_000; // for a server to come back
const PAUSE_MS = 250;

/** Reconnects by itself; requests wait for that at most until their deadline. */
export class Client {
  constructor(address = process.env.SEQSERVE_ADDRESS ?? "127.0.0.1:50051") {
    this.stub = new v1.SequenceService(address, grpc.credentials.createInsecure());
  }

  /** The best translation of each text, in their order. */
  translate(texts, model) {
    return new Promise((resolve, reject) => {
      const done = (error, answer) =>
        error ? reject(error) : resolve(answer.translations.map((one) => one.hypotheses[0].text));
      this.stub.Translate({ texts, model }, { deadline: Date.now() + 60_000 }, done);
    });
  }

  /** The pieces of one translation, as soon as there are any. */
  async *stream(text, model) {
    for await (const answer of this.stub.StreamTranslate({ text, model })) {
      for (const token of answer.tokens) yield token.piece;
    }
  }

  /** A new session. */
  async session(model) {
    const session = new Session(this.stub);
    await session.begin({ open: { model } });
    return session;
  }

  close() {
    this.stub.close();
  }
}

/**
 * Keeps its place when its stream breaks: it is resumed by its id, and the turns that the server has not written down, or
 * not answered yet, are sent again under their numbers. The server answers a turn that it has done already, and does not do
 * it twice.
 */
class Session {
  id = "";
  turn = 0;
  resumed = 0;
  kept = new Map(); // turn → request that may have to be sent again

  constructor(stub) {
    this.stub = stub;
  }

  /** Read more text; a classifier answers with its labels, the likeliest first. */
  async feed(text) {
    const request = { feed: { text }, turn: this.turn };
    this.kept.set(this.turn, request);
    const { output, durableTurn } = await this.ask(request);
    this.turn += 1;
    for (const turn of this.kept.keys()) if (turn < durableTurn || !this.durable) this.kept.delete(turn);
    return output.labels;
  }

  /** End the session, on the server too. */
  async close() {
    await this.ask({ close: {} });
    this.stream.call.end();
  }

  /** Break the connection, as a bad network does. */
  break() {
    this.stream.call.cancel();
  }

  async begin(request) {
    this.stream = new Stream(this.stub.Session());
    const { opened } = await this.stream.exchange(request);
    this.id = opened.sessionId;
    this.durable = opened.durability.mode !== "DURABILITY_MODE_NONE";
    return opened.nextTurn;
  }

  async ask(request) {
    const end = Date.now() + PATIENCE_MS;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.stream.exchange(request);
      } catch (error) {
        if (Date.now() > end || !mayPass(error)) throw error;
        await this.resume(attempt);
      }
    }
  }

  async resume(attempt) {
    await new Promise((wake) => setTimeout(wake, attempt > 1 ? PAUSE_MS : 0));
    try {
      const next = await this.begin({ resume: { sessionId: this.id } });
      for (let turn = next; turn < this.turn; turn += 1) await this.stream.exchange(this.kept.get(turn));
      this.resumed += 1;
    } catch (error) {
      if (!mayPass(error)) throw error;
    }
  }
}

/** One call of the RPC: each request has one answer, or the reason why there is none. */
class Stream {
  waiting = null;
  over = null;

  constructor(call) {
    this.call = call;
    call.on("data", (answer) => this.settle("resolve", answer));
    call.on("error", (error) => this.end(error));
    call.on("end", () => this.end(Object.assign(new Error("the stream has ended"), { code: grpc.status.UNAVAILABLE })));
  }

  exchange(request) {
    if (this.over) return Promise.reject(this.over);
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.call.write(request);
    });
  }

  end(error) {
    this.over ??= error;
    this.settle("reject", error);
  }

  settle(how, value) {
    this.waiting?.[how](value);
    this.waiting = null;
  }
}

function mayPass(error) {
  return [grpc.status.UNAVAILABLE, grpc.status.CANCELLED].includes(error.code);
}
