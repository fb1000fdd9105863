//! Serves the page on this machine, from memory: what is not a file of the page is not there.

use std::net::{Ipv4Addr, SocketAddr};

use tiny_http::{Header, Method, Request, Response, Server, StatusCode};

use super::Files;
use crate::failure::Failure;
use crate::output::line;

/// As the page's own policy, for its workers too.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; \
    worker-src 'self' blob:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves files, plain or as they are compressed, until Ctrl-C.
pub fn serve(files: &Files, zipped: &Files, port: u16) -> Result<(), Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let taken = |error| Failure::Input(format!("--port {port}: {error}; name another, or 0 for any that is free"));
    let server = Server::http(address).map_err(taken)?;
    let port = server.server_addr().to_ip().map_or(port, |address| address.port());
    line(format!("http://127.0.0.1:{port}/ (Ctrl-C ends)"))?;
    for request in server.incoming_requests() {
        if let Err(error) = answer(request, files, zipped) {
            log::info!("a visitor went away: {error}");
        }
    }
    Ok(())
}

fn answer(request: Request, files: &Files, zipped: &Files) -> std::io::Result<()> {
    let path = request.url().split(['?', '#']).next().unwrap_or_default().trim_start_matches('/').to_owned();
    let name = if path.is_empty() { "index.html" } else { &path };
    let is_asked = [Method::Get, Method::Head].contains(request.method());
    let takes_gzip = |header: &Header| header.field.equiv("Accept-Encoding") && header.value.as_str().contains("gzip");
    let is_zipped = request.headers().iter().any(takes_gzip);
    let Some(content) = (if is_zipped { zipped } else { files }).get(name).filter(|_| is_asked) else {
        return request.respond(Response::from_string("not found\n").with_status_code(StatusCode(404)));
    };
    let mut response = Response::from_data(content.as_slice());
    let given = [("Content-Type", kind_of(name)), ("Content-Security-Policy", POLICY), ("Cache-Control", "no-cache")];
    let encoding = is_zipped.then_some(("Content-Encoding", "gzip"));
    for (name, value) in given.into_iter().chain(encoding) {
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    request.respond(response)
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("wasm") => "application/wasm",
        Some("csv") => "text/csv; charset=utf-8",
        _ => "application/octet-stream",
    }
}
