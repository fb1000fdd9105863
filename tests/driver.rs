//! Headless Chromium, driven by Debian's chromedriver.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fantoccini::actions::{InputSource, MouseActions, PointerAction};
use fantoccini::error::CmdError;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};

/// Waits for what a test does in a browser.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test)
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

/// The driver, on a port of its choice.
pub struct Driver {
    process: Child,
    port: String,
}

impl Driver {
    /// None where there is none.
    pub fn start() -> Option<Self> {
        let mut process =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let lines = BufReader::new(process.stdout.take()?).lines().map_while(Result::ok);
        let port =
            lines.filter_map(|line| Some(line.split_once("started successfully on port ")?.1.to_owned())).next()?;
        Some(Self { process, port: port.trim_end_matches('.').into() })
    }

    /// A browser with some more flags.
    pub async fn open(&self, flags: &[&str]) -> Client {
        self.open_with(flags, json!({})).await
    }

    /// A browser that puts what it downloads into `folder`.
    pub async fn open_downloading(&self, flags: &[&str], folder: &Path) -> Client {
        self.open_with(flags, json!({ "download.default_directory": folder, "download.prompt_for_download": false }))
            .await
    }

    async fn open_with(&self, flags: &[&str], preferences: Value) -> Client {
        let own = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let arguments: Vec<&str> = own.iter().chain(flags).copied().collect();
        let options = json!({ "args": arguments, "prefs": preferences });
        // A software adapter takes its time.
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
