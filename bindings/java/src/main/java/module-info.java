/** A client for Amazon Kinesis Data Streams. */
module io.libvegas {
    exports io.libvegas;
    exports io.libvegas.testing;
}
