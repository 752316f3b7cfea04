//! The page of `view` in a real browser: it draws, a drag turns the scene, and nothing is written to the console.
//!
//! Needs Debian's `chromium` (or the program in `CHROMIUM`); without it these tests print `skipped: …`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};
use shapesplat::splats::frame::Frame;
use shapesplat::view::{ViewOptions, write_page};

use crate::turns::scene;

/// How long a browser may take for one answer.
const PATIENCE: Duration = Duration::from_secs(240);

/// A headless browser, spoken to by the DevTools protocol over two pipes.
struct Browser {
    child: Child,
    requests: File,
    answers: std::sync::mpsc::Receiver<Value>,
    session: String,
    n_sent: u64,
    /// Exceptions and lines of the console.
    complaints: Vec<String>,
}

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let known = ["chromium", "chromium-browser", "google-chrome"];
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = || {
        std::env::split_paths(&paths).flat_map(|dir| known.map(|name| dir.join(name))).find(|p| p.is_file())
    };
    named.or_else(found)
}

impl Browser {
    /// Opens a page of `width` × `height` in `folder`, which holds the pipes and the profile.
    fn open(program: &Path, folder: &Path, page: &Path, [width, height]: [u32; 2]) -> Self {
        let pipes = ["requests", "answers"].map(|name| folder.join(name));
        let made = Command::new("mkfifo").args(&pipes).status().expect("mkfifo runs");
        assert!(made.success(), "pipes are made");
        // A shell opens the pipes as the descriptors 3 and 4 that the browser speaks on.
        let script = r#"exec "$0" --headless=new --no-sandbox --disable-gpu-sandbox --enable-unsafe-swiftshader --hide-scrollbars \
            --no-first-run --disable-extensions --force-device-scale-factor=1 --user-data-dir="$1" --window-size="$2" \
            --remote-debugging-pipe about:blank 3<"$3" 4>"$4""#;
        let child = Command::new("sh")
            .args(["-c", script])
            .arg(program)
            .arg(folder.join("profile"))
            .arg(format!("{width},{height}"))
            .args(&pipes)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a browser starts");
        let requests = File::options().write(true).open(&pipes[0]).expect("a pipe to the browser");
        let mut reader = BufReader::new(File::open(&pipes[1]).expect("a pipe from the browser"));
        let (send, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut message = vec![];
            while reader.read_until(0, &mut message).is_ok_and(|n| n > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message).unwrap_or(Value::Null);
                message.clear();
                if send.send(parsed).is_err() {
                    break;
                }
            }
        });
        let mut browser =
            Self { child, requests, answers, session: String::new(), n_sent: 0, complaints: vec![] };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.ask("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Runtime", "Log", "Page"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser.ask("Emulation.setDeviceMetricsOverride", size);
        let still = json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] });
        browser.ask("Emulation.setEmulatedMedia", still);
        browser.ask("Page.navigate", json!({ "url": format!("file://{}", page.display()) }));
        browser
    }

    /// Sends a request and waits for its answer; what comes before it may be a complaint.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.n_sent += 1;
        let mut request = json!({ "id": self.n_sent, "method": method, "params": params });
        if !self.session.is_empty() {
            request["sessionId"] = self.session.clone().into();
        }
        let bytes = format!("{request}\0");
        self.requests.write_all(bytes.as_bytes()).expect("the browser listens");
        loop {
            let answer = self.answers.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{method}: {e}"));
            match answer["method"].as_str() {
                Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled") => {
                    self.complaints.push(answer["params"].to_string());
                }
                // Warnings come from screenshots too: the software's graphics driver dislikes them.
                Some("Log.entryAdded") if answer["params"]["entry"]["level"] == "error" => {
                    self.complaints.push(answer["params"].to_string());
                }
                _ if answer["id"] == self.n_sent => {
                    assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                    return answer["result"].clone();
                }
                _ => {}
            }
        }
    }

    /// The value of an expression on the page.
    fn value(&mut self, expression: &str) -> Value {
        let request = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        self.ask("Runtime.evaluate", request)["result"]["value"].clone()
    }

    /// Waits until the page has drawn what it was asked for and stands still.
    fn settle(&mut self) {
        let start = Instant::now();
        loop {
            // Two frames after this request every event before it has taken effect.
            let status = self.value(
                "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
                   const { status, still } = document.documentElement.dataset;
                   done(`${status} ${still}`);
                 })))",
            );
            assert!(!status.to_string().contains("failed"), "{status}: {:?}", self.complaints);
            if status == "drawn true" {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "nothing is drawn: {status}, {:?}", self.complaints);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What is to be seen, as RGB.
    fn picture(&mut self) -> image::RgbImage {
        self.settle();
        let png = self.ask("Page.captureScreenshot", json!({ "format": "png" }));
        let png = base64::engine::general_purpose::STANDARD.decode(png["data"].as_str().expect("a picture"));
        image::load_from_memory(&png.expect("base64")).expect("a PNG").to_rgb8()
    }

    fn mouse(&mut self, kind: &str, [x, y]: [u32; 2], button: &str) {
        let buttons = if button == "left" { 1 } else { 2 };
        let event =
            json!({ "type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": 1 });
        self.ask("Input.dispatchMouseEvent", event);
    }

    fn drag(&mut self, from: [u32; 2], to: [u32; 2], button: &str) {
        self.mouse("mousePressed", from, button);
        self.mouse("mouseMoved", to, button);
        self.mouse("mouseReleased", to, button);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Shares of pixels that differ, in the part without panels.
fn difference(a: &image::RgbImage, b: &image::RgbImage) -> f64 {
    let middle = (80..a.height() - 120).flat_map(|y| (0..a.width()).map(move |x| (x, y)));
    let differs = |&(x, y): &(u32, u32)| {
        let (a, b) = (a.get_pixel(x, y), b.get_pixel(x, y));
        a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > 12)
    };
    let n = f64::from((a.height() - 200) * a.width());
    middle.filter(differs).count() as f64 / n
}

#[test]
fn a_page_draws_turns_zooms_and_complains_of_nothing() {
    let Some(program) = chromium() else {
        // Past the capture of passing tests, so that it is seen and counted.
        let _ = std::io::stderr().write_all(b"skipped: the page of `view` needs chromium\n");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let page = folder.path().join("page.html");
    let mut splats = scene(400, 3, 1);
    splats.scales.iter_mut().flatten().for_each(|s| *s = *s * 0.2 - 2.5);
    splats.opacities.fill(3.0);
    let mut file = File::create(&page).expect("a file");
    let options = ViewOptions::new("a & b <c>.ply").with_frame("RUB".parse::<Frame>().expect("a frame"));
    write_page(&splats, &options, &mut file).expect("a page");
    let mut browser = Browser::open(&program, folder.path(), &page, [800, 600]);

    let first = browser.picture();
    let colours: std::collections::BTreeSet<[u8; 3]> = first.pixels().map(|pixel| pixel.0).collect();
    assert!(colours.len() > 1000, "the picture has {} colours", colours.len());
    assert_eq!(browser.value("document.getElementById('name').textContent"), "a & b <c>.ply", "the name");
    let about = browser.value("document.querySelector('header p').innerText");
    assert_eq!(about, "400 Gaussiansdegree 3", "count and degree");
    assert_eq!(browser.value("document.getElementById('axis').textContent"), "+y", "up of RUB");

    assert_eq!(difference(&first, &browser.picture()), 0.0, "without a reason nothing moves");
    browser.drag([400, 300], [520, 330], "left");
    let turned = browser.picture();
    assert!(difference(&first, &turned) > 0.05, "a drag turns the scene");
    browser.drag([400, 300], [300, 250], "right");
    let moved = browser.picture();
    assert!(difference(&turned, &moved) > 0.05, "a drag with the right button moves it");
    let wheel = json!({ "type": "mouseWheel", "x": 400, "y": 300, "deltaX": 0, "deltaY": -240 });
    browser.ask("Input.dispatchMouseEvent", wheel);
    let zoomed = browser.picture();
    assert!(difference(&moved, &zoomed) > 0.05, "the wheel zooms");
    browser.value("document.getElementById('reset').click()");
    assert!(difference(&first, &browser.picture()) < 0.002, "back at the first view");
    browser.value("setDegree(0)");
    assert!(difference(&first, &browser.picture()) > 0.02, "harmonics are drawn");
    browser.value("setDegree(3); setGround('#f4f3f0')");
    assert_eq!(browser.picture().get_pixel(5, 300).0, [0xf4, 0xf3, 0xf0], "another background");
    assert_eq!(browser.complaints, [""; 0], "the console is empty");
}
