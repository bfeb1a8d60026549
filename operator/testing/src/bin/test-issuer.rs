//! Server that issues JWTs, for demonstrations and tests only: `test-issuer URL LISTEN KEY-FILE`.

use anyhow::{Context, Result};
use steamer_testing::issuer::JwtIssuer;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, listen, key] = arguments.as_slice() else {
        anyhow::bail!("usage: test-issuer URL LISTEN KEY-FILE");
    };
    let key = std::fs::read(key).with_context(|| format!("cannot read {key}"))?;
    let listener = tokio::net::TcpListener::bind(listen).await?;
    JwtIssuer::with_key(url.clone(), "key-1", &key)?.serve(listener).await;
    Ok(())
}
