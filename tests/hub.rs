//! Files downloaded from a stand-in for the Hub, which sometimes misbehaves.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use polars::prelude::{DataFrame, IntoColumn, NamedFrom, ParquetWriter, Series};
use sha2::Digest;

use crate::common::{Place, text};

/// How the stand-in answers a request for a file.
#[derive(Clone, Copy, PartialEq)]
enum Behavior {
    Good,
    BreaksOff,
    Stalls,
    WrongSize,
    /// The announced number of bytes, but not the announced bytes.
    WrongBytes,
    Status(u16),
    /// The file is announced, but the request for it gets this status.
    StatusOfTheFile(u16),
}

/// A server on loopback that answers as the Hub does. It is written by hand, because no server library
/// breaks a connection off or announces a wrong length.
struct Hub {
    address: String,
    behavior: Arc<Mutex<Behavior>>,
    tokens: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    /// A Hub on which every file is a small IMDB.
    fn start() -> Self {
        Self::with_file(reviews())
    }

    /// A Hub on which every file has these bytes.
    fn with_file(file: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let behavior = Arc::new(Mutex::new(Behavior::Good));
        let tokens = Arc::new(Mutex::new(Vec::new()));
        let (own_behavior, own_tokens) = (behavior.clone(), tokens.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (behavior, tokens, file) =
                    (*own_behavior.lock().expect("a lock"), own_tokens.clone(), file.clone());
                std::thread::spawn(move || answer(stream, behavior, &tokens, &file));
            }
        });
        Self { address, behavior, tokens }
    }

    fn behave(&self, behavior: Behavior) {
        *self.behavior.lock().expect("a lock") = behavior;
    }

    fn command(&self, place: &Place, line: &str) -> std::process::Command {
        let mut command = place.command(line);
        command.env("HF_ENDPOINT", &self.address).env("HF_HUB_DOWNLOAD_TIMEOUT", "1").env("HF_TOKEN", "hf_secret");
        command
    }
}

fn answer(mut stream: TcpStream, behavior: Behavior, tokens: &Mutex<Vec<String>>, file: &[u8]) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
    let request = lines.next().and_then(Result::ok).unwrap_or_default();
    for header in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(token) = header.to_lowercase().strip_prefix("authorization: ") {
            tokens.lock().expect("a lock").push(token.to_owned());
        }
    }
    let asks_for_the_file = request.starts_with("GET");
    let status = match behavior {
        Behavior::Status(status) => status,
        Behavior::StatusOfTheFile(status) if asks_for_the_file => status,
        _ => 200,
    };
    if status != 200 {
        let _ = write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        return;
    }
    let mut body = file.to_vec();
    match behavior {
        Behavior::WrongSize if asks_for_the_file => body.truncate(file.len() / 2),
        Behavior::WrongBytes if asks_for_the_file => body[file.len() / 2] ^= 1,
        _ => {}
    }
    // Like the Hub for a large file: the SHA-256 of its contents.
    let etag = hex::encode(sha2::Sha256::digest(file));
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        "0123456789".repeat(4),
        body.len()
    );
    if !asks_for_the_file {
        return;
    }
    let sent = if matches!(behavior, Behavior::BreaksOff | Behavior::Stalls) { body.len() / 2 } else { body.len() };
    let _ = stream.write_all(&body[..sent]);
    if behavior == Behavior::Stalls {
        std::thread::sleep(Duration::from_secs(5));
    }
}

/// A small IMDB.
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
fn a_good_answer_fills_the_cache() {
    let (hub, place) = (Hub::start(), Place::new());
    let train = "train --dataset imdb --epochs 1 --out";
    let output = hub.command(&place, &format!("{train} runs/a")).output().expect("starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let tokens = hub.tokens.lock().expect("a lock").clone();
    assert!(!tokens.is_empty() && tokens.iter().all(|token| token == "bearer hf_secret"), "{tokens:?}");
    place.succeed(&format!("{train} runs/b")); // without a network
    assert_eq!(place.read_json("runs/b/config.json")["dataset"]["revision"], "0123456789".repeat(4));
    assert!(place.succeed("data").lines().any(|line| line.starts_with("imdb") && line.contains("yes")));
}

#[test]
fn any_file_of_the_hub_is_named_by_its_address() {
    let sentence = "The\tDET\nfilm\tNOUN\nis\tAUX\ngood\tADJ\n.\tPUNCT\n\n";
    let (hub, place) = (Hub::with_file(sentence.repeat(20).into_bytes()), Place::new());
    let (train, file) = ("train --task tag --epochs 1", "hf://datasets/owner/treebank@v2/train.conll");
    let line = format!("{train} --data {file} --test-data {file} --out runs/a");
    let output = hub.command(&place, &line).output().expect("starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    // Everything else does without a network. The run names the address, and no path of this machine.
    let config = place.read_json("runs/a/config.json");
    assert_eq!((&config["dataset"]["name"], &config["dataset"]["file"]["test"]), (&file.into(), &file.into()));
    std::fs::remove_dir_all(place.path().join("runs/a/checkpoints")).expect("removes");
    assert!(place.succeed("evaluate --run runs/a").contains("accuracy"));
    assert!(place.succeed(&format!("predict --run runs/a --file {file}")).starts_with("The\t"));
    let error = place.fail(&format!("{train} --data hf://treebank/train.conll --out runs/b"));
    assert!(error.contains("write hf://datasets/OWNER/NAME/FILE"), "{error}");
    let error = place.fail(&format!("{train} --data hf://datasets/owner/treebank/test.conll --out runs/b"));
    assert!(error.contains("owner/treebank/test.conll: not cached"), "{error}");
}

#[test]
fn a_bad_answer_gives_one_line_and_leaves_no_trace() {
    let (hub, place) = (Hub::start(), Place::new());
    let cases = [
        (Behavior::BreaksOff, "the download was interrupted: the connection closed early; run the command again"),
        (Behavior::Stalls, "the download was interrupted: nothing was received for too long"),
        (Behavior::WrongSize, " bytes, expected "),
        (Behavior::WrongBytes, "the downloaded file has the SHA-256 "),
        (Behavior::Status(401), "the Hub refused access (401); set HF_TOKEN"),
        (Behavior::Status(403), "the Hub refused access (403)"),
        (Behavior::Status(404), "not on the Hub at http://127.0.0.1"),
        (Behavior::Status(429), "the Hub answered 429 (too busy)"),
        (Behavior::Status(503), "the Hub answered 503 (too busy)"),
        (Behavior::StatusOfTheFile(503), "downloaded 2 bytes, expected "),
    ];
    for (behavior, expected) in cases {
        hub.behave(behavior);
        let line = "train --dataset imdb --epochs 1 --out runs/r";
        let error = place.fail_with(line, hub.command(&place, line));
        assert!(error.contains("stanfordnlp/imdb/plain_text/train") && error.contains(expected), "{error}");
    }
    hub.behave(Behavior::Good);
    let output = hub.command(&place, "train --dataset imdb --epochs 1 --out runs/r").output().expect("starts");
    assert!(output.status.success(), "after all that: {}", text(&output.stderr));
}

#[test]
fn without_network_and_cache_there_is_one_line() {
    let place = Place::new();
    let error = place.fail("train --dataset imdb");
    assert!(error.contains("not cached, and the download failed: no connection to http://127.0.0.1:9"), "{error}");
    for (value, is_offline) in [("1", true), ("yes", true), ("False", false), ("0", false)] {
        let mut offline = place.command("train --dataset imdb");
        offline.env("HF_HUB_OFFLINE", value);
        let error = place.fail_with("train", offline);
        let expected =
            if is_offline { "HF_HUB_OFFLINE is set; unset it, or" } else { "no connection to http://127.0.0.1:9" };
        assert!(error.contains(expected), "HF_HUB_OFFLINE={value}: {error}");
    }
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

#[test]
fn a_damaged_file_in_the_cache_is_named() {
    let (hub, place) = (Hub::start(), Place::new());
    let output = hub.command(&place, "train --dataset imdb --epochs 1 --out runs/a").output().expect("starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let blobs = place.path().join("hf-home/hub/datasets--stanfordnlp--imdb/blobs");
    for entry in std::fs::read_dir(blobs).expect("lists").flatten() {
        let mut bytes = std::fs::read(entry.path()).expect("reads");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(entry.path(), bytes).expect("writes");
    }
    let error = place.fail("train --dataset imdb --epochs 1 --out runs/b");
    assert!(error.contains("/blobs/") && error.contains("this cached file is damaged"), "{error}");
}
