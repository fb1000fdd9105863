//! IMDB fetched from a stand-in for the Hub that also misbehaves.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use polars::prelude::{DataFrame, IntoColumn, NamedFrom, ParquetWriter, Series};

use crate::common::{Place, text};

/// What the stand-in does with a request for a file.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Good,
    BreaksOff,
    Stalls,
    WrongSize,
    Status(u16),
    /// The announcement is fine, and the file is not there after all.
    StatusOfTheFile(u16),
}

/// A server on loopback that answers as the Hub does, by hand: no server library would break
/// off or lie about a length.
struct Hub {
    address: String,
    manner: Arc<Mutex<Manner>>,
    tokens: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let manner = Arc::new(Mutex::new(Manner::Good));
        let tokens = Arc::new(Mutex::new(Vec::new()));
        let file = reviews();
        let (own_manner, own_tokens) = (manner.clone(), tokens.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (manner, tokens, file) = (*own_manner.lock().expect("a lock"), own_tokens.clone(), file.clone());
                std::thread::spawn(move || answer(stream, manner, &tokens, &file));
            }
        });
        Self { address, manner, tokens }
    }

    fn be(&self, manner: Manner) {
        *self.manner.lock().expect("a lock") = manner;
    }

    fn command(&self, place: &Place, line: &str) -> std::process::Command {
        let mut command = place.command(line);
        command.env("HF_ENDPOINT", &self.address).env("HF_HUB_DOWNLOAD_TIMEOUT", "1").env("HF_TOKEN", "hf_secret");
        command
    }
}

fn answer(mut stream: TcpStream, manner: Manner, tokens: &Mutex<Vec<String>>, file: &[u8]) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
    let request = lines.next().and_then(Result::ok).unwrap_or_default();
    for header in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(token) = header.to_lowercase().strip_prefix("authorization: ") {
            tokens.lock().expect("a lock").push(token.to_owned());
        }
    }
    let asks_for_the_file = request.starts_with("GET");
    let status = match manner {
        Manner::Status(status) => status,
        Manner::StatusOfTheFile(status) if asks_for_the_file => status,
        _ => 200,
    };
    if status != 200 {
        let _ = write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        return;
    }
    let body = if manner == Manner::WrongSize && asks_for_the_file { &file[..file.len() / 2] } else { file };
    let etag = if request.contains("train") { "aaaa" } else { "bbbb" };
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        "0123456789".repeat(4),
        body.len()
    );
    if !asks_for_the_file {
        return;
    }
    let sent = if matches!(manner, Manner::BreaksOff | Manner::Stalls) { body.len() / 2 } else { body.len() };
    let _ = stream.write_all(&body[..sent]);
    if manner == Manner::Stalls {
        std::thread::sleep(Duration::from_secs(5));
    }
}

/// A little IMDB.
fn reviews() -> Vec<u8> {
    let texts: Vec<String> =
        (0..60).map(|index| format!("{} film", if index % 2 == 0 { "bad" } else { "good" })).collect();
    let labels: Vec<i64> = (0..60).map(|index| index % 2).collect();
    let columns =
        vec![Series::new("text".into(), texts).into_column(), Series::new("label".into(), labels).into_column()];
    let mut bytes = Vec::new();
    let mut frame = DataFrame::new_infer_height(columns).expect("a frame");
    ParquetWriter::new(&mut bytes).finish(&mut frame).expect("writes");
    bytes
}

#[test]
fn a_good_hub_fills_the_cache_and_is_not_asked_again() {
    let (hub, place) = (Hub::start(), Place::new());
    let train = "train --dataset imdb --epochs 1 --out";
    let output = hub.command(&place, &format!("{train} runs/a")).output().expect("starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let tokens = hub.tokens.lock().expect("a lock").clone();
    assert!(!tokens.is_empty() && tokens.iter().all(|token| token == "bearer hf_secret"), "{tokens:?}");
    place.succeed(&format!("{train} runs/b")); // no network
    assert!(place.succeed("data").lines().any(|line| line.starts_with("imdb") && line.contains("yes")));
}

#[test]
fn a_bad_hub_gets_one_line_and_leaves_no_trace() {
    let (hub, place) = (Hub::start(), Place::new());
    let cases = [
        (Manner::BreaksOff, "the download broke off: the connection closed early; run the command again"),
        (Manner::Stalls, "the download broke off: no byte came for too long"),
        (Manner::WrongSize, "bytes came where the Hub announced"),
        (Manner::Status(401), "the Hub refused access (401); set HF_TOKEN"),
        (Manner::Status(403), "the Hub refused access (403)"),
        (Manner::Status(404), "not on the Hub at http://127.0.0.1"),
        (Manner::Status(429), "the Hub answers 429 (too busy)"),
        (Manner::Status(503), "the Hub answers 503 (too busy)"),
        (Manner::StatusOfTheFile(503), "2 bytes came where the Hub announced"),
    ];
    for (manner, expected) in cases {
        hub.be(manner);
        let line = "train --dataset imdb --epochs 1 --out runs/r";
        let error = place.fail_with(line, hub.command(&place, line));
        assert!(error.contains("stanfordnlp/imdb/plain_text/train") && error.contains(expected), "{error}");
    }
    hub.be(Manner::Good);
    let output = hub.command(&place, "train --dataset imdb --epochs 1 --out runs/r").output().expect("starts");
    assert!(output.status.success(), "after all that: {}", text(&output.stderr));
}

#[test]
fn no_network_and_no_cache_is_said_in_one_line() {
    let place = Place::new();
    let error = place.fail("train --dataset imdb");
    assert!(error.contains("neither in the cache nor to be fetched: no connection to http://127.0.0.1:9"), "{error}");
    let mut offline = place.command("train --dataset imdb");
    offline.env("HF_HUB_OFFLINE", "1");
    assert!(place.fail_with("train", offline).contains("HF_HUB_OFFLINE is set"));
}

#[test]
fn a_cache_copied_without_links_is_read() {
    let (hub, place) = (Hub::start(), Place::new());
    let output = hub.command(&place, "train --dataset imdb --epochs 1 --out runs/a").output().expect("starts");
    assert!(output.status.success());
    let folder = place.path().join("hf-home/hub/datasets--stanfordnlp--imdb/snapshots").join("0123456789".repeat(4));
    for entry in std::fs::read_dir(folder.join("plain_text")).expect("lists").flatten() {
        let target = std::fs::read_link(entry.path()).expect("a link");
        std::fs::remove_file(entry.path()).expect("removes");
        std::fs::write(entry.path(), target.to_string_lossy().as_bytes()).expect("writes");
    }
    place.succeed("train --dataset imdb --epochs 1 --out runs/b");
}
