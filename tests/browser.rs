//! The report in headless Chromium: search, hovering, the keyboard.

use fantoccini::actions::PointerAction;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::{Client, Locator};

use crate::common::{Place, skip};
use crate::driver::{Driver, block_on, hover, run};

#[test]
fn the_report_can_be_searched_hovered_and_read_by_keyboard() {
    let Some(driver) = Driver::start() else {
        return skip("browser", "chromedriver is not installed; install chromium and chromium-driver");
    };
    let place = Place::new();
    place.succeed("train --preset linear --dataset sample --out runs/r");
    place.succeed("analyze --texts 50 --text '<script>window.hacked = 1</script> a great <b>film</b>, not awful'");
    let page = format!("file://{}", place.path().join("runs/r/analysis/report.html").display());
    block_on(async {
        let client = driver.open(&["--window-size=1100,900"]).await;
        let seen = look_at(&client, &page).await;
        client.close().await.expect("closes");
        seen.expect("the page answers");

        let client = driver.open(&["--window-size=500,900"]).await;
        client.goto(&page).await.expect("opens");
        let wide = client.execute("return document.documentElement.scrollWidth - innerWidth", vec![]).await;
        client.close().await.expect("closes");
        assert!(wide.expect("a number").as_i64() <= Some(0), "a phone does not scroll sideways");
    });
}

async fn look_at(client: &Client, page: &str) -> Result<(), CmdError> {
    client.goto(page).await?;
    let fetched =
        run(client, "return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length")
            .await?;
    assert_eq!(fetched, 0, "nothing is fetched");

    // A text stays text.
    assert_eq!(run(client, "return window.hacked === undefined").await?, true);
    let text = client.find(Locator::Css("#texts .text")).await?.text().await?;
    assert!(text.contains("<script>window.hacked = 1</script> a great <b>film</b>"), "{text}");

    // A word shows its phrase and the parts of the phrase, which sum to its score.
    let words = client.find_all(Locator::Css("#texts .text .word")).await?;
    client.execute("arguments[0].scrollIntoView({block: 'center'})", vec![serde_json::to_value(&words[6])?]).await?;
    hover(client, PointerAction::MoveToElement { element: words[6].clone(), duration: None, x: 0., y: 0. }).await?;
    let tip = client.find(Locator::Css("#tip")).await?.text().await?;
    let numbers: Vec<f64> =
        tip.lines().skip(1).filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert_eq!(numbers.len(), 4, "{tip}");
    assert!((numbers[0] - numbers[1..].iter().sum::<f64>()).abs() < 2e-4, "{tip}");

    // The keyboard does the same, from word to word; Escape closes it.
    let heading = client.find(Locator::Css("#texts h2")).await?;
    hover(client, PointerAction::MoveToElement { element: heading, duration: None, x: 0., y: 0. }).await?;
    client.execute("document.querySelector('#texts .text .word').focus()", vec![]).await?;
    let first = client.find(Locator::Css("#tip")).await?.text().await?;
    client.active_element().await?.send_keys(&Key::Right.to_string()).await?;
    let second = client.find(Locator::Css("#tip")).await?.text().await?;
    assert!(!first.is_empty() && first != second, "{first} and {second}");
    client.active_element().await?.send_keys(&Key::Escape.to_string()).await?;
    assert_eq!(run(client, "return document.getElementById('tip').hidden").await?, true);

    // The plot: search for a word, hover.
    let search = client.find(Locator::Css("#search")).await?;
    search.send_keys("great").await?;
    let said = client.find(Locator::Css("#said")).await?;
    assert!(said.text().await?.starts_with("great: +"), "{}", said.text().await?);
    search.clear().await?;
    search.send_keys("zzz").await?;
    assert_eq!(said.text().await?, "zzz: not in the vocabulary");
    let canvas = client.find(Locator::Css("#plane")).await?;
    client.execute("document.getElementById('said').textContent = ''", vec![]).await?;
    client.execute("arguments[0].scrollIntoView({block: 'center'})", vec![serde_json::to_value(&canvas)?]).await?;
    for x in [-40., -20., 0., 20., 40.] {
        hover(client, PointerAction::MoveToElement { element: canvas.clone(), duration: None, x, y: 0. }).await?;
    }
    assert!(!said.text().await?.is_empty(), "some point is near the middle");

    // A link opens the page of its filter.
    client.find(Locator::Css("a[href='#filter-7']")).await?.click().await?;
    assert!(client.find(Locator::Css("#filter-7")).await?.is_displayed().await?);
    assert!(!client.find(Locator::Css("#filter-8")).await?.is_displayed().await?);
    Ok(())
}
