//! Serves the page on this machine, from memory. A path that is not a file of the page is not found.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::Files;
use crate::failure::Failure;
use crate::output::line;

/// The same policy as in the page itself, sent as a header so that the workers get it too.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; \
    worker-src 'self' blob:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How long to wait after a connection could not be accepted, for example because too many files are open.
const PAUSE: Duration = Duration::from_millis(50);

/// Every file of the page, plain and compressed.
struct Site {
    plain: BTreeMap<String, Bytes>,
    zipped: BTreeMap<String, Bytes>,
    port: u16,
}

/// Serves files, plain or compressed, until Ctrl-C.
pub fn serve(plain: Files, zipped: Files, port: u16) -> Result<(), Failure> {
    let bytes = |files: Files| files.into_iter().map(|(name, content)| (name, Bytes::from(content))).collect();
    let failed =
        |error| Failure::Input(format!("--port {port}: {error}; choose another port, or 0 for any port that is free"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let site = Arc::new(Site { plain: bytes(plain), zipped: bytes(zipped), port: address.port() });
        line(format!("http://{address}/ (Ctrl-C stops the server)"))?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => _ = tokio::spawn(attend(stream, site.clone())),
                Err(error) => {
                    log::warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    })
}

/// Answers the requests of one connection until it closes.
async fn attend(stream: TcpStream, site: Arc<Site>) {
    let answer = service_fn(|request| {
        let answer = site.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await {
        log::info!("a connection ended early: {error}");
    }
}

impl Site {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !is_own_host(request.headers(), self.port) {
            let port = self.port;
            return refusal(
                StatusCode::MISDIRECTED_REQUEST,
                format!("this server answers as 127.0.0.1:{port}, localhost:{port} and [::1]:{port} only\n"),
            );
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n".into());
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let path = request.uri().path().trim_start_matches('/');
        let name = if path.is_empty() { "index.html" } else { path };
        let is_zipped = accepts_gzip(request.headers());
        let files = if is_zipped { &self.zipped } else { &self.plain };
        let Some(content) = files.get(name) else {
            return refusal(StatusCode::NOT_FOUND, "not found\n".into());
        };
        let mut response = Response::new(Full::from(content.clone()));
        let encoding = is_zipped.then_some((header::CONTENT_ENCODING, "gzip"));
        let headers: [(HeaderName, &'static str); 5] = [
            (header::CONTENT_TYPE, content_type(name)),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-cache"),
            (header::VARY, "accept-encoding"),
        ];
        for (name, value) in headers.into_iter().chain(encoding) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn refusal(status: StatusCode, message: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(message));
    *response.status_mut() = status;
    response
}

/// Whether a request is for this machine by one of its own names. A foreign site can have its name resolve
/// to 127.0.0.1 and would then be of the same origin as the page (DNS rebinding); its requests carry its
/// own name as the host.
fn is_own_host(headers: &HeaderMap, port: u16) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| {
        // A client leaves out the default port.
        host.eq_ignore_ascii_case(&format!("{name}:{port}")) || (port == 80 && host.eq_ignore_ascii_case(name))
    })
}

/// Whether the client takes gzip: it is named in `Accept-Encoding`, and not with the weight zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        is_gzip && weight != Some(0.0)
    })
}

/// The media type of one of the page's own files. There are six kinds of them, in memory: `tower-http` serves
/// a folder on disk, and `mime_guess` would bring a thousand types without their character sets.
fn content_type(name: &str) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_the_servers_own_names_are_its_host() {
        let is_own = |hosts: &[&'static str], port| is_own_host(&headers(header::HOST, hosts), port);
        for host in ["127.0.0.1:8017", "localhost:8017", "LOCALHOST:8017", "[::1]:8017"] {
            assert!(is_own(&[host], 8017), "{host}");
        }
        for host in ["evil.example:8017", "127.0.0.1:80", "127.0.0.1", "localhost.evil.example:8017", "::1:8017", ""] {
            assert!(!is_own(&[host], 8017), "{host}");
        }
        assert!(is_own(&["localhost"], 80) && is_own(&["localhost:80"], 80));
        assert!(!is_own(&[], 8017) && !is_own(&["localhost:8017", "evil.example:8017"], 8017));
    }

    #[test]
    fn gzip_is_sent_only_to_clients_that_accept_it() {
        let accepts = |value: &'static str| accepts_gzip(&headers(header::ACCEPT_ENCODING, &[value]));
        assert!(accepts("gzip") && accepts("br, GZIP;q=0.5") && accepts("deflate, gzip"));
        assert!(!accepts("gzip;q=0") && !accepts("br") && !accepts("") && !accepts_gzip(&HeaderMap::new()));
    }
}
