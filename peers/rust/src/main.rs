//! Serves ferrokinesis, which enforces its limits, on a free port of loopback
//! and prints the address.

use ferrokinesis::{create_app, serve_plain_http, store::StoreOptions};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let (app, _store) = create_app(StoreOptions {
        shard_limit: 100,
        enforce_limits: true,
        aws_account_id: "123456789012".to_string(),
        ..StoreOptions::default()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve_plain_http(listener, app, std::future::pending()).await
}
