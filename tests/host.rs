//! Two servers for the tests of the page: [`Host`] serves a folder with no more headers than necessary,
//! and [`Stranger`] is another origin that records whether the page connected to it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A static host. Serves one folder below a path until the test ends; the folder can be exchanged.
pub struct Host {
    /// The address of the folder, which is not at the root.
    pub address: String,
    folder: Arc<Mutex<PathBuf>>,
}

impl Host {
    pub fn serve(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("finds a port");
        let address = format!("http://{}/some/where/", listener.local_addr().expect("has an address"));
        let folder = Arc::new(Mutex::new(folder.to_owned()));
        let served = folder.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                std::thread::spawn(move || answer(stream, &served));
            }
        });
        Self { address, folder }
    }

    /// Serves another folder from now on.
    pub fn change(&self, folder: &Path) {
        *self.folder.lock().expect("is never poisoned") = folder.to_owned();
    }
}

/// Answers one request. `None` if the connection fails.
fn answer(mut stream: TcpStream, folder: &Mutex<PathBuf>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let request = lines.next()?;
    lines.find(String::is_empty)?;
    let path = request.split_whitespace().nth(1)?.strip_prefix("/some/where/").map(str::to_owned);
    let name = path.map(|path| if path.is_empty() { "index.html".to_owned() } else { path });
    let file = name.and_then(|name| std::fs::read(folder.lock().ok()?.join(&name)).ok().map(|content| (name, content)));
    let (status, kind, content) = match file {
        None => ("404 Not Found", "text/plain", Vec::new()),
        Some((name, content)) => {
            let kind = match name.rsplit('.').next() {
                Some("html") => "text/html",
                Some("js") => "text/javascript",
                Some("css") => "text/css",
                Some("wasm") => "application/wasm",
                _ => "application/octet-stream",
            };
            ("200 OK", kind, content)
        }
    };
    let length = content.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&content)).ok()
}

/// Another origin, to which the page must never connect.
pub struct Stranger(TcpListener);

impl Stranger {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("finds a port");
        listener.set_nonblocking(true).expect("becomes non-blocking");
        Self(listener)
    }

    pub fn address(&self) -> String {
        format!("http://{}/", self.0.local_addr().expect("has an address"))
    }

    pub fn was_visited(&self) -> bool {
        self.0.accept().is_ok()
    }
}
