//! How another process of ours reads a node's page: one request, one answer. Never knows what it says.

use crate::values::User;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the page at that address says as JSON.
pub fn status<T: DeserializeOwned>(page: SocketAddr, user: Option<&User>) -> io::Result<T> {
    let mut stream = TcpStream::connect_timeout(&page, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let credentials = user.map(|user| BASE64_STANDARD.encode(format!("{}:{}", user.name, user.pass)));
    let credentials = credentials.map(|text| format!("Authorization: Basic {text}\r\n")).unwrap_or_default();
    let request = format!("GET /admin/status.json HTTP/1.1\r\nHost: {page}\r\n{credentials}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(serde_json::from_str(body)?),
        _ => Err(io::Error::other(head.lines().next().unwrap_or("no answer").to_owned())),
    }
}
