//! Bodies of responses, bounded in size. The timeout of a request includes its body.

use reqwest::Response;

use crate::fault::Fault;

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, Fault> {
    let announced = response.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(Fault::TooLarge(limit));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Fault::of(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(Fault::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
