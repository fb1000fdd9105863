//! `convlens web` without a browser: what it writes and serves, and what it must not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::common::{Place, text};
use crate::driver::Site;

/// A page that stands in for the one that `cargo xtask web` builds, and a run on a file of the user's.
fn prepare() -> Place {
    let place = Place::new();
    for folder in ["private", "page", "page/cpu", "page/cpu-library", "page/small"] {
        std::fs::create_dir(place.path().join(folder)).expect("makes");
    }
    for name in ["index.html", "page.js", "cpu/a.wasm", "cpu-library/a.wasm", "small/a.wasm"] {
        place.file(&format!("page/{name}"), name);
    }
    place.file("page/offline.js", "const VERSION = \"@VERSION@\", FILES = [\"@FILES@\"];");
    let rows = ["a secret plan,plus", "a hidden flaw,minus", "a secret wish,plus", "a hidden fault,minus"];
    place.file("private/diary.csv", format!("text,label\n{}", (rows.join("\n") + "\n").repeat(10)));
    let data = place.path().join("private/diary.csv");
    place.succeed(&format!("train --data {} --epochs 1 --out runs/r", data.display()));
    place
}

/// Every file below a folder by its path.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("lists").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).expect("reads")));
        }
    }
    found
}

/// Sends a request and returns the whole answer.
fn ask(address: &str, request: &str) -> String {
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.write_all(request.as_bytes()).expect("sends");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answers");
    text(&answer)
}

#[test]
fn the_server_answers_only_to_its_own_host() {
    let place = prepare();
    let site = Site::serve(&place, &place.path().join("page"), "--run runs/r");
    let port = site.address.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    let get = |host: &str| ask(&site.address, &format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let answer = get(&format!("{host}:{port}"));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("index.html"), "{answer}");
    }
    for host in [&format!("rebound.example:{port}"), "rebound.example", "127.0.0.1", "127.0.0.1:1", ""] {
        let answer = get(host);
        assert!(answer.starts_with("HTTP/1.1 421 ") && !answer.contains("index.html"), "{host}: {answer}");
    }
    let without = ask(&site.address, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(without.starts_with("HTTP/1.1 421 "), "{without}");
    let post = format!("POST / HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(ask(&site.address, &post).starts_with("HTTP/1.1 405 "));
    let escape = format!("GET /../runs/r/config.json HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    assert!(ask(&site.address, &escape).starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_page_has_no_paths_and_no_texts_of_the_users_file_unless_asked() {
    let place = prepare();
    let (folder, secrets) = (place.path().display().to_string(), ["a secret plan", "a hidden f"]);
    let holds = |site: &str, word: &str| {
        let found = contents(&place.path().join(site)).into_iter().find(|(_, content)| text(content).contains(word));
        found.map(|(name, _)| name)
    };
    let paths = text(&place.read("runs/r/checkpoints/paths.json"));
    assert!(paths.contains(&folder), "there is a path to leave out: {paths}");
    assert!(!text(&place.read("runs/r/config.json")).contains(&folder));

    place.succeed("web --page page --run runs/r --out site --no-serve");
    assert_eq!(place.read_json("site/site.json")["examples"], serde_json::json!([]));
    for word in [folder.as_str(), "private", secrets[0], secrets[1]] {
        assert_eq!(holds("site", word), None, "{word}");
    }
    assert_eq!(place.read_json("site/run/config.json")["dataset"]["name"], "diary.csv");
    assert_eq!(place.read_json("site/run/metrics.json")["dataset"], "diary.csv");

    place.succeed("web --page page --run runs/r --out published --no-serve --publish-texts");
    let examples = place.read_json("published/site.json")["examples"].to_string();
    assert!(examples.contains("a secret") && examples.contains("a hidden"), "{examples}");
    assert_eq!(holds("published", &folder), None);

    place.succeed("web --page page --run runs/r --out own --no-serve --example 'my own'");
    assert_eq!(place.read_json("own/site.json")["examples"], serde_json::json!(["my own"]));
    let both = place.run("web --page page --run runs/r --out both --no-serve --example mine --publish-texts");
    assert_eq!(both.status.code(), Some(2), "{}", text(&both.stderr));

    // A known data set is public.
    place.succeed("train --dataset sample --epochs 1 --out runs/sample");
    place.succeed("web --page page --run runs/sample --out public --no-serve");
    assert_eq!(place.read_json("public/site.json")["examples"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_page_of_a_tagger_has_what_it_needs_and_no_sentences_of_the_users_file_unless_asked() {
    let place = prepare();
    std::fs::create_dir(place.path().join("page/webgpu")).expect("makes");
    place.file("page/webgpu/a.wasm", "webgpu/a.wasm");
    let sentence = "We\tPRON\nkeep\tVERB\na\tDET\nsecret\tADJ\nplan\tNOUN\n.\tPUNCT\n\n";
    place.file("private/diary.conll", sentence.repeat(40));
    let small = "--epochs 1 --set encoder.hidden=16 --set spelling.filters=8";
    place.succeed(&format!("train --task tag --data private/diary.conll {small} --out runs/t"));
    place.succeed("web --page page --run runs/t --out site --no-serve");
    let site = place.read_json("site/site.json");
    assert_eq!((&site["task"], &site["learnt"]), (&"tag".into(), &false.into()));
    assert_eq!((&site["small"], &site["webgpu"]), (&false.into(), &false.into()), "only the CPU's module tags");
    assert_eq!(site["examples"].as_array().map(Vec::len), Some(3));
    let found = contents(&place.path().join("site"));
    assert!(found.iter().all(|(name, content)| !text(content).contains("secret plan") && !name.contains("learnt")));

    place.succeed("web --page page --run runs/t --out published --no-serve --publish-texts");
    let sentence = "We keep a secret plan .";
    assert_eq!(place.read_json("published/site.json")["examples"], serde_json::json!([sentence, sentence]));
    std::fs::remove_file(place.path().join("private/diary.conll")).expect("removes");
    let refused = place.fail("web --page page --run runs/t --out other --no-serve --publish-texts");
    assert!(refused.contains("diary.conll") && refused.contains("use --example"), "{refused}");
}

#[test]
fn a_page_is_replaced_and_nothing_else_in_its_folder() {
    let place = prepare();
    let web = "web --page page --run runs/r --out site --no-serve";
    place.succeed(web);
    place.file("site/mine.txt", "mine");
    place.file("site/page.js", "edited");
    std::fs::remove_file(place.path().join("page/page.js")).expect("removes");
    std::fs::remove_file(place.path().join("page/cpu/a.wasm")).expect("removes");
    place.file("page/cpu/b.wasm", "b");
    let output = place.run(web);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("page.js: not as it was written, so it is kept"), "{}", text(&output.stderr));
    assert_eq!(
        (text(&place.read("site/mine.txt")), text(&place.read("site/page.js"))),
        ("mine".into(), "edited".into())
    );
    assert!(!place.path().join("site/cpu/a.wasm").exists(), "a file of the page before");
    assert_eq!(text(&place.read("site/cpu/b.wasm")), "b");

    std::fs::create_dir(place.path().join("other")).expect("makes");
    place.file("other/site.json", "{}");
    assert!(place.fail("web --page page --run runs/r --out other --no-serve").contains("something other than a page"));
}

#[cfg(unix)]
#[test]
fn a_page_is_read_from_regular_files_only() {
    let place = prepare();
    let pipe = place.path().join("page/pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("starts");
    assert!(made.success());
    let refused = || {
        let output = place.run("web --page page --run runs/r --out site --no-serve");
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(refused().contains("page/pipe is neither a regular file nor a folder"));
    std::fs::remove_file(&pipe).expect("removes");
    std::os::unix::fs::symlink("/", &pipe).expect("links");
    assert!(refused().contains("page/pipe is neither a regular file nor a folder"));
    std::fs::remove_file(&pipe).expect("removes");
    assert!(place.fail("web --page private --run runs/r --no-serve").contains("it has no index.html"));
}
