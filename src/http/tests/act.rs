//! What can be changed from the pages, by whom, and what it takes.

use super::*;

/// `a:b`.
const USER: &str = "Authorization: Basic YTpi\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

fn post(address: SocketAddr, path: &str, more: &str, form: &str) -> String {
    let mut stream = open(address);
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n", form.len());
    stream.write_all((head + form).as_bytes()).unwrap();
    rest(stream)
}

#[test]
fn nothing_changes_where_nobody_has_a_name() {
    let address = served(&[], 10_000);
    for path in ["/admin/connect", "/admin/shutdown"] {
        let page = ask(address, &format!("GET {path}"), "");
        assert!(
            status(&page) == "200" && page.contains("Start it with -u NAME:PASSWORD") && !page.contains("a1b2"),
            "{page}"
        );
        let refused = post(address, path, FORM, "token=a1b2&sure=yes&to=1.2.3.4");
        assert!(
            status(&refused) == "403" && !refused.contains("Shutdown") && !refused.contains("Connect("),
            "{refused}"
        );
    }
}

#[test]
fn what_is_ordered_has_a_name_a_token_and_a_second_word() {
    let address = served(&[("a", "b")], 10_000);
    let page = ask(address, "GET /admin/connect", USER);
    assert!(
        page.contains("<form method=post action=/admin/connect><input type=hidden name=token value=a1b2>"),
        "{page}"
    );
    let more = format!("{USER}{FORM}");
    assert_eq!(status(&post(address, "/admin/shutdown", FORM, "token=a1b2&sure=yes")), "401");

    let start = Instant::now();
    for wrong in
        ["", "sure=yes", "token=&sure=yes", "token=a1b3&sure=yes", "token=a1b2x&sure=yes", "token=a1b2%00&sure=yes"]
    {
        let refused = post(address, "/admin/shutdown", &more, wrong);
        assert!(status(&refused) == "403" && !refused.contains("Shutdown("), "{wrong}: {refused}");
    }
    assert!(start.elapsed() >= 6 * AFTER_WRONG_PASSWORD);

    let asked = post(address, "/admin/connect", &more, "token=a1b2&to=+1.2.3.4");
    assert!(
        status(&asked) == "200"
            && asked.contains("Connect to 1.2.3.4:18444?")
            && asked.contains("name=to value=\"1.2.3.4:18444\""),
        "{asked}"
    );
    let done = post(address, "/admin/connect", &more, "token=a1b2&to=1.2.3.4%3A18444&sure=yes");
    assert!(status(&done) == "200" && done.contains("[Connect(1.2.3.4:18444)]"), "{done}");
    let asked = post(address, "/admin/shutdown", &more, "token=a1b2");
    assert!(asked.contains("Stop this node?") && !asked.contains("Shutdown("), "{asked}");
    let done = post(address, "/admin/shutdown", &more, "token=a1b2&sure=yes");
    assert!(done.contains("[Shutdown(&quot;a on the page&quot;)]"), "{done}");
}

#[test]
fn what_is_no_form_of_ours_is_refused() {
    let address = served(&[("a", "b")], 10_000);
    let long = format!("token=a1b2&to={}", "1".repeat(5_000));
    for (path, more, form, said) in [
        ("/admin/shutdown", "", "token=a1b2&sure=yes", "That is no form."),
        ("/admin/shutdown", "Content-Type: text/plain\r\n", "token=a1b2&sure=yes", "That is no form."),
        ("/admin/connect", FORM, &long, "That form is too long."),
        ("/admin/connect", FORM, "token=a1b2&to=seed.example&sure=yes", "Say an address"),
        ("/admin/connect", FORM, "token=a1b2&to=1.2.3.4:99999&sure=yes", "Say an address"),
        ("/admin/connect", FORM, "token=a1b2&sure=yes", "Say an address"),
    ] {
        let refused = post(address, path, &format!("{USER}{more}"), form);
        assert!(status(&refused) == "400" && refused.contains(said), "{form}: {refused}");
    }
    for path in ["/admin/status", "/admin/pool", "/admin/connect/", "/metrics"] {
        assert_eq!(status(&post(address, path, &format!("{USER}{FORM}"), "token=a1b2&sure=yes")), "405", "{path}");
    }
    assert_eq!(status(&ask(address, "PUT /admin/shutdown?token=a1b2&sure=yes", USER)), "405");
    let looked = ask(address, "GET /admin/shutdown?token=a1b2&sure=yes", USER);
    assert!(status(&looked) == "200" && !looked.contains("Shutdown("), "looking changes nothing");
}
