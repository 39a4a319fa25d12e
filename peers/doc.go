// Package peers proves vegas by parts that others made: official SDKs against
// the embedded server, official aggregators and de-aggregators against the
// codec, foreign servers under the producer and the consumer, DynamoDB Local
// under the store.
//
// All of it is tests behind the build tag "peers", which install what they need
// from the registries of its language (PyPI, npm, Maven Central, crates.io) into
// .cache/peers at the root of the repository, once. A toolchain that is missing
// or a registry that fails is a failed test that names it.
//
//	make test-peers-short   Go, Python and JavaScript, one foreign server, DynamoDB Local
//	make test-peers         and Java, and every foreign server
package peers
