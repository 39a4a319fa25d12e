// The same module for import: one engine for both ways of loading it.
import vegas from './index.js';

export default vegas;
export const {
  Producer, Consumer, Record, Receipt, Headers, Shard, VegasError, setLogger, testing,
  BadOptionError, TooLargeError, ThrottledError, DeadlineError, EarlierFailedError, BufferFullError, ClosedError,
  LeaseLostError, GraceOverError, TrimmedError, KillsProcessError, HandlerError, NotFoundError, AccessDeniedError,
  UnreachableError, TimeoutError, EngineMissingError, EngineGoneError, VersionError, ProtocolError, OverrunError,
  FailedError,
} = vegas;
