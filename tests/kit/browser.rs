//! A real browser: headless Chromium, driven over WebDriver (W3C) by its own driver. Knows nothing of pages.

use crate::aloud;
use crate::node::{free_port, poll};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How a found element is named in answers (W3C WebDriver, 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The browser. Ends when dropped.
pub struct Browser {
    driver: Child,
    at: SocketAddr,
    session: String,
}

impl Browser {
    /// Starts it; none, loudly, where there is no Chromium with a driver.
    pub fn start() -> Option<Browser> {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(driver) = driver else {
            aloud("SKIPPED: there is no chromedriver here (apt install chromium chromium-driver)");
            return None;
        };
        let mut browser = Browser { driver, at: ([127, 0, 0, 1], port).into(), session: String::new() };
        let up = poll(30, || browser.call("GET", "/status", &Value::Null).ok());
        up.expect("the driver answers within 30 s");
        let options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
        });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let body = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = browser.call("POST", "/session", &body).expect("a session");
        browser.session = format!("/session/{}", session["sessionId"].as_str().expect("it has a name"));
        Some(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(self.at)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            self.at,
            body.len()
        );
        stream.write_all((head + &body).as_bytes())?;
        // The driver leaves its connections open.
        let (mut answer, mut status, mut long) = (BufReader::new(stream), String::new(), 0);
        answer.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line)?;
            match line.trim_end().to_ascii_lowercase().split_once(':') {
                Some(("content-length", value)) => long = value.trim().parse().map_err(io::Error::other)?,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; long];
        answer.read_exact(&mut body)?;
        let value: Value = serde_json::from_slice(&body).map_err(io::Error::other)?;
        match status.split(' ').nth(1) {
            Some("200") => Ok(value["value"].clone()),
            _ => Err(io::Error::other(format!("{path}: {}", value["value"]["message"]))),
        }
    }

    fn within(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("{}{path}", self.session), body).unwrap_or_else(|why| panic!("the browser: {why}"))
    }

    /// Goes to an address.
    pub fn go(&self, url: &str) {
        self.within("POST", "/url", &json!({ "url": url }));
    }

    /// Where it is.
    pub fn address(&self) -> String {
        self.within("GET", "/url", &Value::Null).as_str().expect("an address").to_owned()
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.within("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What an element says, by its CSS selector; empty where there is none.
    pub fn text(&self, selector: &str) -> String {
        let found = self.run(&format!("return document.querySelector({selector:?})?.textContent??''"));
        found.as_str().expect("text").to_owned()
    }

    /// Waits until an element says something that `done` is content with.
    pub fn wait(&self, selector: &str, seconds: u64, done: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = poll(seconds, || {
            last = self.text(selector);
            done(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{selector} at {} says {last:?} after {seconds} s", self.address()))
    }

    fn element(&self, selector: &str) -> String {
        let found = self.within("POST", "/element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// Clicks, as a hand would.
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.within("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Types.
    pub fn type_in(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.within("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// A command of Chromium's own (DevTools protocol).
    pub fn devtools(&self, command: &str, params: Value) -> Value {
        self.within("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    /// How wide and high what it shows is, in pixels, and whether it is dark.
    pub fn look(&self, (width, height): (u32, u32), dark: bool) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", screen);
        let scheme = json!([{ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": scheme }));
    }

    /// A picture of what it shows.
    pub fn picture(&self, path: &Path) {
        let png = self.within("GET", "/screenshot", &Value::Null);
        let bytes = BASE64_STANDARD.decode(png.as_str().expect("base64")).expect("base64");
        std::fs::write(path, bytes).expect("target can be written");
    }

    /// What it complained of since the last call: errors of scripts, of the network, of the content security policy.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.within("POST", "/se/log", &json!({ "type": "browser" }));
        let severe = log.as_array().expect("a list").iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.call("DELETE", &self.session, &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
