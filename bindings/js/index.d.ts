/// <reference types="node" />
// Send to and receive from Amazon Kinesis Data Streams.

import {
  ConsumerOptions as GeneratedConsumerOptions,
  ProducerOptions as GeneratedProducerOptions,
  HandlerError,
} from './lib/spec';

export * from './lib/spec';

/** Bytes; a text is sent as UTF-8. */
export type Data = string | Uint8Array | ArrayBufferView | ArrayBuffer;

/** Named values beside a record's payload. Names may repeat; order is kept. */
export type HeadersInit = Record_<string, string | Uint8Array> | Iterable<readonly [string, string | Uint8Array]>;
type Record_<K extends string, V> = { [key in K]: V };

export interface Waiting {
  /** Ends the waiting, with its reason; what was asked for goes on. */
  signal?: AbortSignal;
}

export interface ProducerOptions extends Omit<GeneratedProducerOptions, 'onStats'> {
  onStats?: (stats: Stats) => void;
  /**
   * Close everything at SIGINT and SIGTERM, where the program does not listen to them
   * itself, and end the process by the signal then.
   * @default true
   */
  signals?: boolean;
}

export interface Position {
  sequence: string;
  subSequence?: number;
}

export interface ConsumerOptions extends Omit<GeneratedConsumerOptions, 'onStats' | 'deadLetter' | 'external'> {
  onStats?: (stats: Stats) => void;
  /** Takes records whose attempts are used up, with their last error. */
  deadLetter?: (record: Record, error: HandlerError, shard: Shard) => unknown;
  /** Positions are kept by the program: returns the one behind which a shard begins, or undefined for the group's. */
  external?: (shard: Shard) => Position | null | undefined | Promise<Position | null | undefined>;
  /** Closes the consumer when it aborts. */
  signal?: AbortSignal;
  /** As for producers. */
  signals?: boolean;
}

/** By the names of the metrics. */
export type Stats = { [name: string]: unknown };

/** Where a record was stored. */
export class Receipt {
  private constructor();
  readonly shard: string;
  readonly sequence: string;
  /** Index inside its aggregate. */
  readonly subSequence: number;
  /** It is safe in the durable buffer, and will be sent; the other fields are empty. */
  readonly durable: boolean;
}

/** Sends records to a stream. It opens in the background; check() tells whether it can send. */
export class Producer {
  /** Throws BadOptionError for options that do not exist, and EngineMissingError. */
  constructor(stream: string, options?: ProducerOptions);
  readonly stream: string;
  /**
   * Sends a record. The promise need not be looked at: then a failure is logged, and
   * raised by flush and close. The data is copied.
   */
  send(key: string, data: Data, more?: { headers?: HeadersInit; explicitHashKey?: string | bigint }): Promise<Receipt>;
  /** Waits until half of bufferBytes is free. */
  ready(waiting?: Waiting): Promise<void>;
  /**
   * Waits for the results of all that was sent before it. Rejects with TimeoutError
   * after that many milliseconds; with a durable buffer it returns how many have not
   * been stored by then, otherwise 0.
   */
  flush(options?: Waiting & { timeout?: number }): Promise<number>;
  /** Flushes for closeTimeout and ends the producer. */
  close(options?: Waiting & { timeout?: number }): Promise<number>;
  /** Asks the service whether this producer may send. */
  check(waiting?: Waiting): Promise<void>;
  stats(waiting?: Waiting): Promise<Stats>;
  /** close(), at the end of the block of await using. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Headers of a record that was received: pairs in order, and a mapping where the first of a name counts. */
export class Headers implements Iterable<[string, string]> {
  private constructor();
  readonly size: number;
  get(name: string): string | undefined;
  bytes(name: string): Buffer | undefined;
  getAll(name: string): string[];
  has(name: string): boolean;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  entries(): IterableIterator<[string, string]>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

/** A record that was received. Its data lies with that of its chunk: Buffer.from(r.data) to keep few of many for long. */
export class Record {
  private constructor();
  readonly partitionKey: string;
  readonly data: Buffer;
  /** data as UTF-8 */
  readonly text: string;
  readonly headers: Headers;
  /** A decimal number, or '' for none. */
  readonly explicitHashKey: string;
  readonly stream: string;
  readonly shard: string;
  readonly sequence: string;
  readonly subSequence: number;
  readonly arrivalTime: Date;
  readonly aggregated: boolean;
  /** 1 at first. */
  readonly attempt: number;
}

/** A shard that this consumer owns for a while. */
export class Shard {
  private constructor();
  readonly id: string;
  readonly stream: string;
  readonly parents: string[];
  /** The fencing token: it rises with every owner. */
  readonly possession: number | bigint;
  /** How many owners died at the position where it began. */
  readonly takeovers: number;
  /** The position behind which it began. */
  readonly sequence: string;
  readonly subSequence: number;
  /** Why no further record is begun. */
  readonly stopping: null | 'shutdown' | 'handoff' | 'lease_lost' | 'grace_over' | 'engine_gone';
  /** Aborts when handlers should give up: what they do is not checkpointed any more. */
  readonly signal: AbortSignal;
}

export type Handler = (record: Record, shard: Shard) => unknown;
export type BatchHandler = (records: Record[], shard: Shard) => unknown;

/** Receives the records of a stream for a group, from its construction on. */
export class Consumer implements AsyncIterable<Record> {
  constructor(stream: string, group: string, handler: BatchHandler, options: ConsumerOptions & { batch: true });
  constructor(stream: string, group: string, handler: Handler, options?: ConsumerOptions);
  /** Without a handler: iterate over it. A record is done with when the loop comes for the next one. */
  constructor(stream: string, group: string, options?: ConsumerOptions);
  readonly stream: string;
  readonly group: string;
  [Symbol.asyncIterator](): AsyncIterator<Record>;
  /** Waits for the end; rejects if the consumer has failed, with GraceOverError also where it was closed and handlers did not end within grace. */
  wait(waiting?: Waiting): Promise<void>;
  /** Lets handlers finish, for as long as grace, writes checkpoints, gives the shards back. Only waits: see wait(). Do not wait for it inside a handler. */
  close(waiting?: Waiting): Promise<void>;
  check(waiting?: Waiting): Promise<void>;
  /** Moves the group's position behind a record, under checkpoint: 'manual'. */
  checkpoint(record: Record, waiting?: Waiting): Promise<void>;
  stats(waiting?: Waiting): Promise<Stats>;
  /** close(), at the end of the block of await using. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Debug lines are asked of the engine if there is debug() when it starts, and isLevelEnabled('debug') does not deny it. */
export interface Logger {
  isLevelEnabled?(level: string): boolean;
  debug?(text: string, attributes: { [name: string]: unknown }): void;
  info?(text: string, attributes: { [name: string]: unknown }): void;
  warn?(text: string, attributes: { [name: string]: unknown }): void;
  error?(text: string, attributes: { [name: string]: unknown }): void;
}

/** Where the engine's words go. null: warnings and errors to the console. */
export function setLogger(logger: Logger | null): void;

export interface LocalOptions {
  /** Names, or names with numbers of shards. */
  streams?: string[] | { [name: string]: number };
  port?: number;
  /** The largest record, 1 to 10 MiB. @default 1 MiB */
  recordBytes?: number;
  /** Without the service's limits. @default false */
  noLimits?: boolean;
  /** How long streams are in passing states. Milliseconds. @default 50 */
  stateDelay?: number;
  engine?: string;
}

export namespace testing {
  /** A Kinesis server inside the engine, for tests. */
  class LocalKinesis {
    private constructor();
    static start(options?: LocalOptions): Promise<LocalKinesis>;
    /** For the option endpoint; credentials and store come with it. */
    readonly endpoint: string;
    /** What other programs need in their environment. */
    readonly environment: { [name: string]: string };
    stop(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
  }
}
