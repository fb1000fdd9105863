//! The page in headless Chromium: it gives the same scores as the program, trains, and works without a network.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use convlens_text::Tokenizer;
use fantoccini::actions::PointerAction;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};

use crate::common::{Place, binary, skip};
use crate::driver::{Driver, Site, block_on, hover, run};
use crate::host::{Host, Stranger};

/// How long a page may take to do something, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);
const WIDE: &str = "--window-size=1100,900";
/// Chromium's software adapter.
const WEBGPU: [&str; 3] = [WIDE, "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

/// The page that `cargo xtask web` built, next to the binary's folder.
fn page() -> Option<PathBuf> {
    let target = binary().parent().and_then(Path::parent).expect("target/release").to_owned();
    Some(target.join("web/page")).filter(|page| page.join("cpu/convlens_web_bg.wasm").is_file())
}

/// A browser and a page, or none if one of them is missing.
fn prepare(test: &str) -> Option<(Driver, PathBuf)> {
    let Some(page) = page() else {
        skip(test, "the page is not built; run `cargo xtask web --build-only`");
        return None;
    };
    let Some(driver) = Driver::start() else {
        skip(test, "chromedriver is not installed; install chromium and chromium-driver");
        return None;
    };
    Some((driver, page))
}

/// A hundred texts: short, long, in other scripts, with unknown words.
fn texts() -> Vec<String> {
    let words =
        ["good", "bad", "film", "not", "a", "the", "boring", "wonderful", "İstanbul", "zzz", "don't", "ß", "plot"];
    let text = |number: usize| {
        let word = |at: usize| words[(number * 7919 + at * at * 31 + at) % words.len()];
        let separator = [" ", ", ", "! ", "\u{a0}", " ☃ 🎬 "][number % 5];
        (0..1 + number * number % 83).map(word).collect::<Vec<_>>().join(separator)
    };
    (0..100).map(text).collect()
}

/// The program's logits.
fn native(place: &Place, run: &str, texts: &[String]) -> Vec<Vec<f64>> {
    let rows: String = texts.iter().map(|text| format!("{}\n", json!({ "text": text }))).collect();
    place.file("texts.jsonl", rows);
    let predictions = place.json(&format!("predict --json --run {run} --file texts.jsonl"));
    let logits = |prediction: &Value| {
        prediction["logits"]
            .as_object()
            .expect("logits")
            .values()
            .map(|logit| logit.as_f64().expect("a number"))
            .collect()
    };
    predictions.iter().map(logits).collect()
}

async fn wait_until(client: &Client, condition: &str) -> Result<(), CmdError> {
    let begin = Instant::now();
    while run(client, &format!("return Boolean({condition})")).await? != true {
        if begin.elapsed() > PATIENCE {
            let trouble = run(client, "return document.getElementById('trouble').textContent").await?;
            panic!("the page never reached {condition}; it shows the error {trouble:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// What the page returns for a text.
#[derive(serde::Deserialize)]
struct OnPage {
    logits: Vec<f64>,
    /// The difference between the explained logit and the sum of its phrases and bias.
    residual: f64,
    ids: Vec<u32>,
    starts: Vec<usize>,
    ends: Vec<usize>,
}

/// What a module of the page returns for texts.
async fn on_page(client: &Client, module: &str, texts: &[String]) -> Result<Vec<OnPage>, CmdError> {
    let script = "const [module, texts, done] = arguments; (async () => {
        let ask = convlens.ask;
        if (module === 'small') {
            // The page itself has switched to the whole module.
            const { Helper } = await import(new URL('ask.js', location.href));
            const helper = new Helper();
            ask = (...words) => helper.ask(...words);
            await ask('open', module);
        }
        const read = [];
        for (const text of texts) {
            const { logits, bias, scores, explains, ids, starts, ends } = await ask('read', text);
            let sum = bias[explains];
            for (let at = explains; at < scores.length; at += logits.length) sum += scores[at];
            read.push({ logits: [...logits], residual: Math.abs(sum - logits[explains]), ids: [...ids], starts: [...starts], ends: [...ends] });
        }
        return read;
    })().then(done, (error) => done(String(error)))";
    let read = client.execute_async(script, vec![json!(module), json!(texts)]).await?;
    Ok(serde_json::from_value(read.clone()).unwrap_or_else(|_| panic!("{read}")))
}

/// Compares the page's scores, ids and offsets with the program's.
async fn compare(client: &Client, place: &Place, run: &str, module: &str) -> Result<(), CmdError> {
    let texts = texts();
    let page = on_page(client, module, &texts).await?;
    let native = native(place, run, &texts);
    assert_eq!((page.len(), native.len()), (texts.len(), texts.len()));
    let tokenizer = Tokenizer::from_json(&place.read(&format!("{run}/tokenizer.json"))).expect("a tokenizer");
    for ((text, page), native) in texts.iter().zip(page).zip(native) {
        for (a, b) in page.logits.iter().zip(&native) {
            assert!((a - b).abs() < 1e-4, "{text:?}: {:?} on the page, {native:?} in the program", page.logits);
        }
        assert!(page.residual < 1e-4, "{text:?}: phrases and bias differ from the logit by {}", page.residual);
        let encoding = tokenizer.encode(text).expect("encodes");
        assert_eq!(page.ids, encoding.ids, "{text:?}");
        let units = |byte: usize| text[..byte].encode_utf16().count();
        let offsets: Vec<(usize, usize)> =
            encoding.offsets.iter().map(|&(start, end)| (units(start), units(end))).collect();
        assert_eq!(page.starts.into_iter().zip(page.ends).collect::<Vec<_>>(), offsets, "{text:?}");
    }
    Ok(())
}

#[test]
fn the_page_gives_the_same_scores_as_the_program_and_no_text_does_harm() {
    let Some((driver, page)) = prepare("web") else { return };
    let place = Place::new();
    place.succeed("train --preset linear --dataset sample --out runs/r");
    let site = Site::serve(&place, &page, "--run runs/r");
    block_on(async {
        let client = driver.open(&[WIDE]).await;
        let seen = look_at(&client, &place, &site.address).await;
        client.close().await.expect("closes");
        seen.expect("the page answers");

        let client = driver.open(&["--window-size=500,900"]).await;
        client.goto(&site.address).await.expect("opens");
        wait_until(&client, "document.documentElement.dataset.ready").await.expect("reads");
        let wide = run(&client, "return document.documentElement.scrollWidth - innerWidth").await;
        client.close().await.expect("closes");
        assert!(wide.expect("a number").as_i64() <= Some(0), "a phone does not scroll sideways");
    });
}

async fn type_text(client: &Client, text: &str) -> Result<(), CmdError> {
    let script = "const area = document.getElementById('text'); area.value = arguments[0];
        area.dispatchEvent(new Event('input', { bubbles: true }))";
    client.execute(script, vec![json!(text)]).await?;
    let length = text.encode_utf16().count();
    wait_until(client, &format!("document.getElementById('verdict').dataset.text === '{length}'")).await
}

async fn look_at(client: &Client, place: &Place, address: &str) -> Result<(), CmdError> {
    client.goto(address).await?;
    wait_until(client, "['all', 'offline'].includes(document.documentElement.dataset.ready)").await?;
    // The phrases of the text that the first module read are still available when the whole module has replaced it.
    client.execute("document.querySelector('#coloured span').focus()", vec![]).await?;
    wait_until(client, "document.querySelector('#phrase table')").await?;
    for module in ["small", "cpu"] {
        compare(client, place, "runs/r", module).await?;
    }

    // Typing.
    let area = client.find(Locator::Css("#text")).await?;
    area.clear().await?;
    area.send_keys("a wonderful film, not boring").await?;
    wait_until(client, "document.getElementById('verdict').dataset.text === '28'").await?;
    let verdict = client.find(Locator::Css("#verdict")).await?.text().await?;
    assert!(verdict.contains(" %: ") && verdict.contains("bias"), "{verdict}");
    assert_eq!(run(client, "return document.querySelectorAll('#coloured span').length").await?, 5);
    assert_eq!(
        run(client, "return document.getElementById('coloured').textContent").await?,
        "a wonderful film, not boring"
    );

    // A phrase shows its parts, which sum to its score, and its filters.
    let words = client.find_all(Locator::Css("#coloured span")).await?;
    client.execute("arguments[0].scrollIntoView({block: 'center'})", vec![serde_json::to_value(&words[1])?]).await?;
    hover(client, PointerAction::MoveToElement { element: words[1].clone(), duration: None, x: 0., y: 0. }).await?;
    wait_until(client, "document.querySelectorAll('#phrase table').length === 2").await?;
    let numbers = "const number = (cell) => Number(cell.textContent.replace('−', '-'));
        const rows = [...document.querySelectorAll('#phrase table')[0].rows].slice(1);
        return [number({ textContent: document.querySelector('#phrase p').textContent.split(' ')[0] }),
            rows.reduce((sum, row) => sum + number(row.cells[2]), 0), rows.length]";
    let [score, sum, count]: [f64; 3] = serde_json::from_value(run(client, numbers).await?)?;
    assert!((score - sum).abs() < 2e-4 && count == 3.0, "{score} is not {sum}, of {count} words");
    assert_eq!(run(client, "return document.querySelectorAll('#coloured .field').length").await?, 3);

    // The keyboard moves from phrase to phrase.
    client.execute("document.querySelector('#coloured span').focus()", vec![]).await?;
    wait_until(client, "document.querySelector('#phrase p').textContent.endsWith(': a wonderful')").await?;
    client.active_element().await?.send_keys(&Key::Right.to_string()).await?;
    wait_until(client, "document.querySelector('#phrase p').textContent.endsWith(': a wonderful film')").await?;

    // Markup stays text. A megabyte is read, and shown a part at a time.
    let markup = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script> <b>good</b>";
    type_text(client, markup).await?;
    assert_eq!(run(client, "return document.getElementById('coloured').textContent").await?, markup);
    assert_eq!(
        run(
            client,
            "return [window.hacked === undefined, document.querySelectorAll('#coloured img, #coloured b').length]"
        )
        .await?,
        json!([true, 0])
    );
    type_text(client, &"a good film, not a bad one. ".repeat(37_500)).await?;
    assert_eq!(run(client, "return document.querySelectorAll('#coloured span').length <= 1500").await?, true);
    assert_eq!(run(client, "return document.getElementById('pager').hidden").await?, false);
    client.find(Locator::Css("#after")).await?.click().await?;
    assert!(client.find(Locator::Css("#part")).await?.text().await?.starts_with("part 2 of "));
    type_text(client, "").await?;

    // What the model has learnt: a plot in which words are spread out, a word, a filter.
    let explained = "const done = arguments[0]; convlens.ask('learnt', 1).then((learnt) => done(learnt.explained[0]))";
    let explained = client.execute_async(explained, vec![]).await?;
    assert!(explained.as_f64() > Some(0.05), "{explained} of the variance");
    let search = client.find(Locator::Css("#search")).await?;
    search.send_keys("good").await?;
    let found = client.find(Locator::Css("#found")).await?;
    assert!(found.text().await?.starts_with("good: ("), "{}", found.text().await?);
    search.send_keys("zz").await?;
    assert_eq!(found.text().await?, "goodzz is not in the vocabulary");
    let canvas = client.find(Locator::Css("#plane")).await?;
    client.execute("arguments[0].scrollIntoView({block: 'center'})", vec![serde_json::to_value(&canvas)?]).await?;
    for x in [-40., -20., 0., 20., 40.] {
        hover(client, PointerAction::MoveToElement { element: canvas.clone(), duration: None, x, y: 0. }).await?;
    }
    assert!(found.text().await?.contains("contributes"), "some point is near the middle");
    let choose =
        "const select = document.getElementById('filter'); select.value = 7; select.onchange({ target: select });
        return document.querySelectorAll('#filter-words tr').length";
    assert_eq!(run(client, choose).await?, 4, "a head and three positions");

    nothing_leaves(client).await
}

/// Nothing was requested from another origin, and nothing can be: not from the page, nor from a worker that is
/// started as the page starts them.
async fn nothing_leaves(client: &Client) -> Result<(), CmdError> {
    let foreign = "return performance.getEntriesByType('resource').map((entry) => entry.name)
        .filter((name) => !name.startsWith(location.origin) && !/^(data|blob):/.test(name))";
    assert_eq!(run(client, foreign).await?, json!([]));
    let stranger = Stranger::new();
    let fetched = "const [address, done] = arguments;
        const ask = `fetch('${address}').then(() => 'sent', (error) => error.name)`;
        const source = URL.createObjectURL(new Blob([`${ask}.then(postMessage)`], { type: 'text/javascript' }));
        const worker = new Worker(source, { type: 'module' });
        worker.onmessage = ({ data }) => fetch(address).then(() => 'sent', (error) => error.name).then((own) => done([data, own]))";
    let found = client.execute_async(fetched, vec![json!(stranger.address())]).await?;
    assert_eq!(found, json!(["TypeError", "TypeError"]));
    assert!(!stranger.was_visited(), "the policy forbids other origins");
    Ok(())
}

#[test]
fn any_host_can_serve_the_page_from_any_path_and_replace_it() {
    let Some((driver, page)) = prepare("web") else { return };
    let place = Place::new();
    let sites = ["one", "two"].map(|name| {
        place.succeed(&format!("train --preset default --dataset sample --epochs 1 --out runs/{name}"));
        place.succeed(&format!("web --page {} --run runs/{name} --out {name} --no-serve", page.display()));
        place.path().join(name)
    });
    let host = Host::serve(&sites[0]);
    block_on(async {
        let client = driver.open(&[WIDE]).await;
        let seen = async {
            let name = "return document.getElementById('name').textContent";
            client.goto(&host.address).await?;
            wait_until(&client, "document.documentElement.dataset.ready === 'offline'").await?;
            assert_eq!(run(&client, name).await?, "one");
            nothing_leaves(&client).await?;
            // The page starts its own workers from blobs, and they answer. Started by their address they would have
            // no policy, because this host sends none.
            let started = "const done = arguments[0], started = [];
                window.Worker = class extends Worker { constructor(...of) { super(...of); started.push(of[0].split(':')[0]); } };
                import(new URL('ask.js', location.href)).then(({ Helper }) => new Helper().ask('stop')).then(() => done(started), done)";
            assert_eq!(client.execute_async(started, vec![]).await?, json!(["blob"]));
            // A cache of another site is left alone when the page is replaced.
            let kept = "const done = arguments[0]; caches.open('of somebody else').then(() => done(true))";
            client.execute_async(kept, vec![]).await?;
            host.change(&sites[1]);
            client.goto(&host.address).await?;
            wait_until(&client, "document.documentElement.dataset.ready === 'offline'").await?;
            assert_eq!(run(&client, name).await?, "two", "the newer page is shown at once");
            let caches = client.execute_async("caches.keys().then(arguments[0])", vec![]).await?;
            assert!(caches.to_string().contains("of somebody else"), "{caches}");
            Ok::<(), CmdError>(())
        };
        let seen = seen.await;
        client.close().await.expect("closes");
        seen.expect("the page answers");
    });
}

/// What the last word of the vocabulary contributes to each label, from the module and on the page.
async fn contributions_by_label(client: &Client) -> Result<Vec<String>, CmdError> {
    let script = "const [select, search] = ['label', 'search'].map((id) => document.getElementById(id));
        return Promise.all([convlens.ask('tokens'), convlens.ask('learnt', 0)]).then(([tokens, { says, reach }]) => {
            search.value = tokens.at(-1);
            search.dispatchEvent(new Event('input'));
            return [...select.options].map(({ value }) => {
                select.value = value;
                select.onchange();
                const found = document.getElementById('found').textContent.split('contributes ')[1];
                const blue = document.getElementById('plane-text').textContent.match(/blue counts for [^,]*/)[0];
                const expected = (says[value].at(-1) / 2000) * reach[2];
                return `${expected < 0 ? '−' : '+'}${Math.abs(expected).toFixed(3)} and ${found}; ${blue}`;
            });
        })";
    Ok(serde_json::from_value(run(client, script).await?)?)
}

#[test]
fn a_page_takes_any_classifier_unless_it_is_too_large() {
    let Some((driver, page)) = prepare("web") else { return };
    let place = Place::new();
    let rows = ["good,plus", "bad,minus", "so so,none", "a fine film,plus", "a dull film,minus", "a film,none"];
    place.file("data.csv", format!("text,label\n{}", (rows.join("\n") + "\n").repeat(10)));
    let runs = [
        ("relu", "words"),
        ("conv", "punctuated"),
        ("lstm", "characters"),
        ("default", "bpe"),
        ("default", "contractions"),
        ("seed", "words"),
    ];
    for (preset, tokenizer) in runs {
        let own = format!("runs/{preset}-{tokenizer}");
        place.succeed(&format!(
            "train --preset {preset} --tokenizer {tokenizer} --data data.csv --epochs 1 --word-dropout 0 --out {own}"
        ));
        let site = Site::serve(&place, &page, &format!("--run {own} --precision f32"));
        block_on(async {
            let client = driver.open(&[WIDE]).await;
            client.goto(&site.address).await.unwrap_or_else(|error| panic!("{preset}: {error}"));
            wait_until(&client, "/all|offline/.test(document.documentElement.dataset.ready)").await.expect("learnt");
            let mut compared = compare(&client, &place, &own, "cpu").await;
            // One layer of convolutions over words is read by the small module first.
            if matches!((preset, tokenizer), ("conv" | "default", "punctuated" | "contractions")) {
                compared = compared.and(compare(&client, &place, &own, "small").await);
            }
            type_text(&client, "a fine film").await.expect("reads");
            let bars = run(&client, "return document.querySelectorAll('.bar').length").await;
            let contributions = contributions_by_label(&client).await;
            client.execute("document.querySelector('#coloured span').focus()", vec![]).await.expect("focuses");
            wait_until(&client, "document.querySelector('#phrase table')").await.expect("takes apart");
            client.close().await.expect("closes");
            compared.expect("compares");
            assert_eq!(bars.expect("bars"), 3);
            let contributions = contributions.expect("of the last word");
            assert_eq!(contributions.len(), 3);
            for (found, label) in contributions.iter().zip(["minus", "none", "plus"]) {
                let number = found.split(' ').next().unwrap_or_default();
                assert_eq!(*found, format!("{number} and {number} to {label}; blue counts for {label}"), "{preset}");
            }
        });
    }
    let page = page.display();
    assert!(
        place
            .fail(&format!("web --page {page} --run runs/relu-words --out runs --no-serve"))
            .contains("something other than a page")
    );
    assert!(place.fail("web --no-serve").contains("cargo xtask web"));
    // `cargo xtask web` checks this before it builds.
    assert!(place.fail(&format!("web --check --page {page} --run runs/none")).contains("runs/none"));
    assert_eq!(place.succeed(&format!("web --check --page {page} --run runs/relu-words --out checked")), "");
    assert!(!place.path().join("checked").exists());
    place.succeed("train --preset best --dataset sample --epochs 1 --vocab-size 30000 --out runs/best");
    let packed = place.succeed(&format!("web --page {page} --run runs/best --precision int8 --no-serve --out site"));
    assert!(packed.contains("site: "), "{packed}");
    place.succeed("evaluate --dataset sample --run site/run");
    place.succeed("train --preset linear --dataset sample --epochs 1 --set encoder.filters=90000 --out runs/large");
    let refused = place.fail(&format!("web --page {page} --run runs/large --no-serve"));
    assert_eq!(place.fail(&format!("web --check --page {page} --run runs/large")), refused);
    assert!(refused.contains(" MB of weights as int6, and a page takes up to 32; train a smaller model"), "{refused}");
}

#[test]
fn a_visitor_trains_and_downloads_a_model_without_a_network() {
    let Some((driver, page)) = prepare("web") else { return };
    let place = Place::new();
    place.succeed("train --dataset sample --epochs 1 --out runs/r");
    let downloads = place.path().join("downloads");
    std::fs::create_dir(&downloads).expect("makes");
    let site = Site::serve(&place, &page, "--run runs/r --out site");
    let address = site.address.clone();
    block_on(async {
        let client = driver.open_downloading(&[WIDE], &downloads).await;
        let trained = train(&client, &address, site).await;
        let zip = downloads.join("sample-run.zip");
        let begin = Instant::now();
        while !zip.exists() && begin.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        client.close().await.expect("closes");
        trained.expect("trains");
        let mut zip = zip::ZipArchive::new(Cursor::new(std::fs::read(&zip).expect("a download"))).expect("a zip file");
        zip.extract(place.path().join("taken")).expect("unzips");
    });
    let lines = place.json("evaluate --run taken --data site/sample.csv --json");
    assert!(lines[0]["evaluation"]["accuracy"].as_f64() > Some(0.85), "{}", lines[0]);
    let config = place.read_json("taken/config.json");
    assert_eq!(config["dataset"]["name"], "sample.csv");
}

async fn train(client: &Client, address: &str, site: Site) -> Result<(), CmdError> {
    client.goto(address).await?;
    wait_until(client, "document.documentElement.dataset.ready === 'offline'").await?;

    // From now on there is no server, and the page is opened again.
    drop(site);
    client.goto(address).await?;
    wait_until(client, "['all', 'offline'].includes(document.documentElement.dataset.ready)").await?;
    type_text(client, "a good film").await?;

    client.find(Locator::Css("#sample")).await?.click().await?;
    wait_until(client, "!document.getElementById('settings').hidden").await?;
    let chosen = "return [document.getElementById('text-column').value, document.getElementById('label-column').value]";
    assert_eq!(run(client, chosen).await?, json!(["text", "label"]));
    run(client, "document.getElementById('epochs').value = 12").await?;
    client.find(Locator::Css("#start")).await?.click().await?;
    wait_until(client, "document.getElementById('training').dataset.losses?.includes(',')").await?;
    // The page responds while it trains.
    let (begin, mut frames) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_millis(500) {
        run(client, "return 1").await?;
        frames += 1;
    }
    assert!(frames >= 10, "{frames} responses in half a second");
    wait_until(client, "document.getElementById('training').dataset.over === 'true'").await?;
    let losses = run(client, "return JSON.parse(document.getElementById('training').dataset.losses)").await?;
    let losses: Vec<f64> = serde_json::from_value(losses)?;
    assert!(losses.len() > 1 && losses[losses.len() - 1] < 0.8 * losses[0], "{losses:?}");
    wait_until(client, "!document.getElementById('download').disabled").await?;
    client.find(Locator::Css("#download")).await?.click().await?;

    client.find(Locator::Css("#use")).await?.click().await?;
    wait_until(client, "document.getElementById('name').textContent.includes('trained here')").await?;
    type_text(client, "a wonderful film, superb").await?;
    let verdict = client.find(Locator::Css("#verdict")).await?.text().await?;
    assert!(verdict.starts_with("pos "), "{verdict}");
    Ok(())
}

/// What the page returns for a word of a text.
#[derive(serde::Deserialize)]
struct TagOnPage {
    tag: String,
    probability: f64,
    start: usize,
    end: usize,
    /// As `predict` writes it, but `first` is an index in the text.
    evidence: Value,
}

/// What the page returns for the words of a text that has one part.
async fn tags_on_page(client: &Client, text: &str) -> Result<Vec<TagOnPage>, CmdError> {
    let script = "const [text, done] = arguments; (async () => {
        const { labels: names } = await convlens.ask('facts');
        const { starts, ends, labels, probabilities } = await convlens.ask('read', text);
        return Promise.all([...labels].map(async (label, at) => ({
            tag: names[label], probability: probabilities[at * names.length + label], start: starts[at], end: ends[at],
            evidence: await convlens.ask('word', at),
        })));
    })().then(done, (error) => done(String(error)))";
    let read = client.execute_async(script, vec![json!(text)]).await?;
    Ok(serde_json::from_value(read.clone()).unwrap_or_else(|_| panic!("{read}")))
}

/// Compares the page's tags, their probabilities and what speaks for them with the program's.
async fn compare_tags(client: &Client, place: &Place, run: &str, text: &str) -> Result<(), CmdError> {
    let page = tags_on_page(client, text).await?;
    place.file("texts.jsonl", json!({ "text": text }).to_string());
    let sentences = place.json(&format!("predict --json --run {run} --file texts.jsonl"));
    let mut words = page.into_iter();
    let mut before = 0;
    for sentence in &sentences {
        let native = sentence["words"].as_array().expect("words");
        for native in native {
            let page = words.next().unwrap_or_else(|| panic!("{text:?}: the page has too few words"));
            let number = |value: &Value| value.as_f64().expect("a number");
            assert_eq!(page.tag, native["tag"], "{native}");
            assert!((page.probability - number(&native["probability"])).abs() < 1e-4, "{native}");
            let units = |end: &Value| text[..end.as_u64().expect("a byte") as usize].encode_utf16().count();
            let range = (units(&native["range"]["start"]), units(&native["range"]["end"]));
            assert_eq!((page.start, page.end), range, "{native}");
            let (page, native) = (&page.evidence, &native["evidence"]);
            assert_eq!(page["first"].as_u64(), native["first"].as_u64().map(|first| first + before), "{native}");
            for key in ["logit", "baseline", "residual"] {
                assert!((number(&page[key]) - number(&native[key])).abs() < 1e-3, "{key}: {page}, {native}");
            }
            let [shares, expected] = [page, native].map(|evidence| evidence["shares"].as_array().expect("shares"));
            assert_eq!(shares.len(), expected.len());
            for (a, b) in shares.iter().zip(expected) {
                assert!((number(a) - number(b)).abs() < 1e-3, "{page}, {native}");
            }
        }
        before += native.len() as u64;
    }
    assert!(words.next().is_none(), "{text:?}: the page has too many words");
    Ok(())
}

#[test]
fn a_page_of_a_tagger_gives_the_tags_of_the_program() {
    let Some((driver, page)) = prepare("web") else { return };
    let place = Place::new();
    let small = "--set encoder.hidden=32 --set spelling.filters=16";
    place.succeed(&format!("train --task tag --dataset sample --epochs 2 {small} --out runs/t"));
    let sentence = "Mary\tB-PER\nBrown\tI-PER\nslept\tO\nin\tO\nRome\tB-LOC\n.\tO\n\n";
    place.file("names.conll", sentence.repeat(400));
    place.succeed(&format!("train --task tag --data names.conll --epochs 8 {small} --out runs/names"));
    let sites = ["t", "names"].map(|run| Site::serve(&place, &page, &format!("--run runs/{run}")));
    block_on(async {
        let client = driver.open(&[WIDE]).await;
        let seen = async {
            look_at_tags(&client, &place, &sites[0].address).await?;
            look_at_spans(&client, &place, &sites[1].address).await
        };
        let seen = seen.await;
        client.close().await.expect("closes");
        seen.expect("the page answers");
    });
}

async fn look_at_tags(client: &Client, place: &Place, address: &str) -> Result<(), CmdError> {
    client.goto(address).await?;
    wait_until(client, "['all', 'offline'].includes(document.documentElement.dataset.ready)").await?;
    for text in ["", "x", "They play well, but this play isn't good! 🎬 Dr. Fasutia likes it?\n\nAt 10:30 İ ran"] {
        compare_tags(client, place, "runs/t", text).await?;
    }

    // Typing. What makes no sense for a tagger is not shown.
    let area = client.find(Locator::Css("#text")).await?;
    area.clear().await?;
    area.send_keys("The play is good. They play!").await?;
    wait_until(client, "document.getElementById('verdict').dataset.text === '28'").await?;
    let verdict = client.find(Locator::Css("#verdict")).await?.text().await?;
    assert_eq!(verdict, "8 words in 2 sentences");
    assert_eq!(run(client, "return document.querySelectorAll('#coloured span[data-tag]').length").await?, 8);
    let hidden =
        "return ['learnt', 'strongest', 'device', 'bars'].filter((id) => document.getElementById(id).offsetHeight)";
    assert_eq!(run(client, hidden).await?, json!([]));

    // A word shows its tag, the runners-up and what speaks for it, which sums to the logit.
    let words = client.find_all(Locator::Css("#coloured span")).await?;
    client.execute("arguments[0].scrollIntoView({block: 'center'})", vec![serde_json::to_value(&words[1])?]).await?;
    hover(client, PointerAction::MoveToElement { element: words[1].clone(), duration: None, x: 0., y: 0. }).await?;
    wait_until(client, "document.querySelector('#phrase table')").await?;
    let said = client.find(Locator::Css("#phrase-said")).await?.text().await?;
    assert!(said.starts_with("play: ") && said.ends_with(" %"), "{said}");
    let numbers = "const number = (text) => Number(text.replace('−', '-'));
        const [, logit, baseline] = document.querySelector('#phrase-parts p').textContent.match(/is (.*): (.*) without/);
        const rows = [...document.querySelectorAll('#phrase table tr')].slice(1);
        return [number(logit), rows.reduce((sum, row) => sum + number(row.cells[2].textContent), number(baseline)),
            rows.length, document.querySelectorAll('#phrase .bar').length]";
    let [logit, sum, rows, bars]: [f64; 4] = serde_json::from_value(run(client, numbers).await?)?;
    assert!((logit - sum).abs() < 5e-4, "{logit} is not {sum}");
    assert_eq!((rows, bars), (5.0, 5.0), "four words and the residual; five tags");
    assert_eq!(run(client, "return document.querySelectorAll('#coloured .field').length").await?, 4);

    // The keyboard moves from word to word.
    client.execute("document.querySelectorAll('#coloured span')[4].focus()", vec![]).await?;
    wait_until(client, "document.getElementById('phrase-said').textContent.startsWith('.: ')").await?;
    client.active_element().await?.send_keys(&Key::Right.to_string()).await?;
    wait_until(client, "document.getElementById('phrase-said').textContent.startsWith('They: ')").await?;

    // Markup stays text. A megabyte is read, a part at a time.
    let markup = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script> <b>good</b>";
    type_text(client, markup).await?;
    let shown = "return [document.getElementById('coloured').textContent, window.hacked === undefined,
        document.querySelectorAll('#coloured img, #coloured b').length]";
    assert_eq!(run(client, shown).await?, json!([markup, true, 0]));
    type_text(client, &"A good film, not a bad one. ".repeat(37_500)).await?;
    let verdict = client.find(Locator::Css("#verdict")).await?.text().await?;
    assert_eq!(verdict, "337,500 words in 37,500 sentences");
    assert_eq!(run(client, "return document.querySelectorAll('#coloured span').length").await?, 1_494);
    client.execute("[...document.querySelectorAll('#coloured span')].at(-1).focus()", vec![]).await?;
    client.active_element().await?.send_keys(&Key::Right.to_string()).await?;
    wait_until(client, "document.getElementById('part').textContent === 'part 2 of 226'").await?;
    wait_until(client, "document.activeElement === document.querySelector('#coloured span')").await?;

    nothing_leaves(client).await
}

/// Labels that mark spans are shown as marked spans.
async fn look_at_spans(client: &Client, place: &Place, address: &str) -> Result<(), CmdError> {
    client.goto(address).await?;
    wait_until(client, "['all', 'offline'].includes(document.documentElement.dataset.ready)").await?;
    let text = "Mary Brown slept in Rome.";
    compare_tags(client, place, "runs/names", text).await?;
    type_text(client, text).await?;
    let marked = "return [document.getElementById('coloured').textContent,
        ...[...document.querySelectorAll('#coloured mark')].map((mark) => `${mark.textContent} ${mark.dataset.kind}`)]";
    assert_eq!(run(client, marked).await?, json!([text, "Mary Brown PER", "Rome LOC"]));
    let verdict = client.find(Locator::Css("#verdict")).await?.text().await?;
    assert_eq!(verdict, "6 words in 1 sentence; 2 spans: 1 PER, 1 LOC");
    Ok(())
}

#[test]
fn a_page_of_a_language_model_writes_what_the_program_writes() {
    let Some((driver, page)) = prepare("web") else { return };
    let place = Place::new();
    let story: String = (0..600).map(|at| format!("the {} is here.\n", ["cat", "dog"][at * 5 / 2 % 2])).collect();
    place.file("story.txt", &story);
    let small = "--preset dilated --set encoder.hidden=24 --set encoder.blocks=2 --window 32 --learning-rate 0.01";
    place.succeed(&format!("train --task lm --data story.txt {small} --epochs 4 --out runs/lm"));
    let site = Site::serve(&place, &page, "--run runs/lm --example 'the cat '");
    block_on(async {
        let client = driver.open(&[WIDE]).await;
        let seen = look_at_written_text(&client, &place, &site.address).await;
        client.close().await.expect("closes");
        seen.expect("the page answers");
    });
}

async fn look_at_written_text(client: &Client, place: &Place, address: &str) -> Result<(), CmdError> {
    client.goto(address).await?;
    wait_until(client, "['all', 'offline'].includes(document.documentElement.dataset.ready)").await?;
    let card = client.find(Locator::Css("#card")).await?.text().await?;
    assert!(card.contains("test perplexity 1.") && card.ends_with("a token depends on 13 tokens before it."), "{card}");
    let hidden =
        "return ['learnt', 'strongest', 'device', 'bars'].filter((id) => document.getElementById(id).offsetHeight)";
    assert_eq!(run(client, hidden).await?, json!([]));

    // The same tokens, with the same probabilities, for the same reasons.
    let native = place.json("generate --run runs/lm --json --explain --temperature 0 --length 20 'the cat '").remove(0);
    let script = "const [done] = arguments; (async () => {
        await convlens.ask('begin', 'the cat ', { temperature: 0, top_k: null, top_p: null, label: null, seed: 1 });
        const tokens = [...await convlens.ask('write', 5), ...await convlens.ask('write', 15)];
        return Promise.all(tokens.map(async (token, at) => ({ ...token, evidence: await convlens.ask('token', at) })));
    })().then(done, (error) => done(String(error)))";
    let tokens = client.execute_async(script, vec![]).await?;
    let tokens = tokens.as_array().unwrap_or_else(|| panic!("{tokens}"));
    let expected = native["tokens"].as_array().expect("tokens");
    assert_eq!(tokens.len(), expected.len());
    let number = |value: &Value| value.as_f64().expect("a number");
    for (page, native) in tokens.iter().zip(expected) {
        assert_eq!(page["text"], native["token"]);
        assert!((number(&page["probability"]) - number(&native["probability"])).abs() < 1e-4, "{page}, {native}");
        let [shares, other] = [page, native].map(|token| token["evidence"]["shares"].as_array().expect("shares"));
        assert_eq!(shares.len(), other.len());
        assert!(shares.iter().zip(other).all(|(a, b)| (number(a) - number(b)).abs() < 1e-3), "{page}, {native}");
    }

    // By the button, and token by token.
    client.execute("document.getElementById('temperature').value = 0", vec![]).await?;
    client.execute("document.getElementById('write-length').value = 20", vec![]).await?;
    client.find(Locator::Css("#write-start")).await?.click().await?;
    wait_until(client, "document.querySelectorAll('#coloured span').length === 20").await?;
    assert_eq!(run(client, "return document.getElementById('coloured').textContent").await?, native["text"]);
    client.execute("document.querySelectorAll('#coloured span')[4].focus()", vec![]).await?;
    wait_until(client, "document.querySelector('#phrase table')").await?;
    assert_eq!(run(client, "return document.querySelectorAll('#phrase .bar').length").await?, 5);

    // What the model does not know is named, and cannot be continued.
    let area = client.find(Locator::Css("#text")).await?;
    area.clear().await?;
    area.send_keys("the é").await?;
    wait_until(client, "document.getElementById('verdict').textContent.includes('\"é\"')").await?;
    assert_eq!(run(client, "return document.getElementById('write-start').disabled").await?, true);
    // An empty prompt can.
    area.clear().await?;
    area.send_keys(" ").await?;
    area.send_keys(&Key::Backspace.to_string()).await?;
    wait_until(client, "!document.getElementById('write-start').disabled").await?;
    nothing_leaves(client).await
}

#[test]
fn webgpu_gives_the_same_scores_as_the_cpu() {
    let Some((driver, page)) = prepare("web") else { return };
    if !page.join("webgpu/convlens_web_bg.wasm").is_file() {
        return skip("web", "the page is built without WebGPU's module; run `cargo xtask web --build-only`");
    }
    let place = Place::new();
    for preset in ["default", "relu"] {
        place.succeed(&format!("train --preset {preset} --dataset sample --epochs 1 --out runs/{preset}"));
        let site = Site::serve(&place, &page, &format!("--run runs/{preset} --precision f32"));
        block_on(async {
            let client = driver.open(&WEBGPU).await;
            let compared = async {
                client.goto(&site.address).await?;
                wait_until(&client, "document.querySelector('#device option[value=webgpu]')").await?;
                run(&client, "const select = document.getElementById('device'); select.value = 'webgpu'; select.onchange({ target: select })").await?;
                wait_until(&client, "!document.getElementById('device').disabled").await?;
                assert_eq!(run(&client, "return document.getElementById('trouble').textContent").await?, "");
                assert_eq!(run(&client, "return document.getElementById('device').value").await?, "webgpu");
                compare(&client, &place, &format!("runs/{preset}"), "webgpu").await
            };
            let compared = compared.await;
            client.close().await.expect("closes");
            compared.expect("compares");
        });
    }
}
