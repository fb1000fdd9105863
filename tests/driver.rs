//! Headless Chromium, driven by chromedriver.

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use fantoccini::actions::{InputSource, MouseActions, PointerAction};
use fantoccini::error::CmdError;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};

use crate::common::PATIENCE;

/// Runs the asynchronous part of a test.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("builds a runtime").block_on(test)
}

/// Runs a script in the page.
pub async fn run(client: &Client, script: &str) -> Result<Value, CmdError> {
    client.execute(script, vec![]).await
}

/// Moves the mouse, and waits until the page has handled the event: a browser dispatches it before the
/// next frame.
pub async fn hover(client: &Client, target: PointerAction) -> Result<(), CmdError> {
    client.perform_actions(MouseActions::new("mouse".into()).then(target)).await?;
    let two_frames = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))";
    client.execute_async(two_frames, vec![]).await?;
    Ok(())
}

/// A running chromedriver, on a port that it chose.
pub struct Driver {
    process: Child,
    port: String,
}

impl Driver {
    /// Starts chromedriver. `None` if it is not installed.
    ///
    /// # Panics
    ///
    /// If chromedriver is installed but does not start.
    pub fn start() -> Option<Self> {
        let command =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut process = match command {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => panic!("chromedriver: {error}"),
        };
        let lines = BufReader::new(process.stdout.take().expect("is piped")).lines().map_while(Result::ok);
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, so that chromedriver never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(|line| _ = sender.send(line)));
        let mut output = Vec::new();
        while let Ok(line) = receiver.recv_timeout(PATIENCE) {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return Some(Self { process, port: port.trim_end_matches('.').into() });
            }
            output.push(line);
        }
        let _ = process.kill();
        panic!("chromedriver is installed but does not start: {}", output.join("\n"));
    }

    /// Opens a browser with additional flags.
    pub async fn open(&self, flags: &[&str]) -> Client {
        self.open_with(flags, json!({})).await
    }

    /// Opens a browser that saves downloads in `folder`.
    pub async fn open_downloading(&self, flags: &[&str], folder: &Path) -> Client {
        self.open_with(flags, json!({ "download.default_directory": folder, "download.prompt_for_download": false }))
            .await
    }

    async fn open_with(&self, flags: &[&str], preferences: Value) -> Client {
        let always = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let arguments: Vec<&str> = always.iter().chain(flags).copied().collect();
        let options = json!({ "args": arguments, "prefs": preferences });
        // Scripts on a software graphics adapter are slow.
        let timeouts = json!({ "script": 600_000 });
        let capabilities = [("goog:chromeOptions".to_owned(), options), ("timeouts".to_owned(), timeouts)];
        let capabilities: Capabilities = capabilities.into_iter().collect();
        let connector = hyper_util::client::legacy::connect::HttpConnector::new();
        let address = format!("http://127.0.0.1:{}", self.port);
        ClientBuilder::new(connector).capabilities(capabilities).connect(&address).await.expect("connects")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
