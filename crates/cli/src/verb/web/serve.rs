//! Serves the page on this machine, from memory: what is not a file of the page is not there.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::Files;
use crate::failure::Failure;
use crate::output::line;

/// As the page's own policy, for its workers too.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; \
    worker-src 'self' blob:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// After what is wrong with the system, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Every file as it is and as it is compressed.
struct Site {
    plain: BTreeMap<String, Bytes>,
    zipped: BTreeMap<String, Bytes>,
}

/// Serves files, plain or compressed, until Ctrl-C.
pub fn serve(plain: Files, zipped: Files, port: u16) -> Result<(), Failure> {
    let bytes = |files: Files| files.into_iter().map(|(name, content)| (name, Bytes::from(content))).collect();
    let site = Arc::new(Site { plain: bytes(plain), zipped: bytes(zipped) });
    let wrong = |error| Failure::Input(format!("--port {port}: {error}; name another, or 0 for any that is free"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(wrong)?;
    runtime.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await.map_err(wrong)?;
        line(format!("http://{}/ (Ctrl-C ends)", listener.local_addr().map_err(wrong)?))?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => _ = tokio::spawn(attend(stream, site.clone())),
                Err(error) => {
                    log::warn!("a visitor could not come: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    })
}

/// Answers a visitor for as long as they stay.
async fn attend(stream: TcpStream, site: Arc<Site>) {
    let answer = service_fn(|request| {
        let answer = site.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await {
        log::info!("a visitor went away: {error}");
    }
}

impl Site {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().trim_start_matches('/');
        let name = if path.is_empty() { "index.html" } else { path };
        let is_asked = [Method::GET, Method::HEAD].contains(request.method());
        let accepted = request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let is_zipped = accepted.is_some_and(|value| value.contains("gzip"));
        let files = if is_zipped { &self.zipped } else { &self.plain };
        let Some(content) = files.get(name).filter(|_| is_asked) else {
            let mut missing = Response::new(Full::from("not found\n"));
            *missing.status_mut() = StatusCode::NOT_FOUND;
            return missing;
        };
        let mut response = Response::new(Full::from(content.clone()));
        let encoding = is_zipped.then_some((header::CONTENT_ENCODING, "gzip"));
        let given = [
            (header::CONTENT_TYPE, kind_of(name)),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        for (name, value) in given.into_iter().chain(encoding) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
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
