//! Holds `config.rs` to its word: who wins, what is refused and in which words. Opens no file and reads no environment.

use super::*;
use crate::args::{For, Tune};
use std::io;

fn flags(pairs: &[(Setting, &str)]) -> Given {
    let mut given = Given::new();
    for &(setting, text) in pairs {
        given.entry(setting).or_default().push(text.to_owned());
    }
    given
}

fn with(pairs: &[(Setting, &str)]) -> Result<Config, String> {
    resolve(flags(pairs), None, &Around::bare(4))
}

fn env(pairs: &[(&str, &str)]) -> Around {
    let env = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Around { env, ..Around::bare(4) }
}

/// Surroundings whose only file is `/home/u/.caesure/caesure.toml`.
macro_rules! with_file {
    ($around:expr, $text:literal) => {{
        let read = |path: &Path| match path == Path::new("/home/u/.caesure/caesure.toml") {
            true => Ok($text.to_owned()),
            false => Err(io::ErrorKind::NotFound.into()),
        };
        Around { read, ..$around }
    }};
}

#[test]
fn defaults_of_each_chain() {
    // Ports: kernel/chainparams.cpp of Bitcoin Core.
    let ports = [("main", 8333), ("testnet3", 18333), ("testnet4", 48333), ("signet", 38333), ("regtest", 18444)];
    for (chain, port) in ports {
        let config =
            with(&[(Setting::Chain, chain), (Setting::Connect, "node.example"), (Setting::Monitor, "on")]).unwrap();
        assert_eq!(config.connect[0].to_string(), format!("node.example:{port}"));
        let folder = if chain == "main" { "/home/u/.caesure".to_owned() } else { format!("/home/u/.caesure/{chain}") };
        assert_eq!(config.folder, Path::new(&folder));
        assert_eq!(config.monitor.unwrap(), config.folder.join("caesure.bd"));
    }
    let config = with(&[]).unwrap();
    assert_eq!((config.chain, config.outgoing, config.cores, config.pin), (Network::Main, 10, 4, true));
    assert_eq!((config.horizon, config.monitor_write), (100, false));
    assert_eq!(config.memory, 2 << 30, "1 GiB and four times 256 MiB");
    assert_eq!(config.min_chain_work, Params::of(Network::Main).min_chain_work);
    assert!(config.monitor.is_none() && config.webui.is_none() && config.warnings.is_empty());
}

#[test]
fn flags_before_environment_before_file_before_defaults() {
    let file = with_file!(Around::bare(4), "outgoing = 3\nincoming = 3\nlog = \"warn\"\n");
    let around = Around { env: env(&[("CAESURE_OUTGOING", "2"), ("CAESURE_INCOMING", "2")]).env, ..file };
    let config = resolve(flags(&[(Setting::Outgoing, "1")]), None, &around).unwrap();
    assert_eq!((config.outgoing, config.incoming, config.log.as_str(), config.cores), (1, 2, "warn", 4));
    let lines = config.effective();
    for line in
        ["outgoing = 1 (from flag)", "incoming = 2 (from env)", "log = warn (from file)", "cores = 4 (from default)"]
    {
        assert!(lines.iter().any(|l| l == line), "{line} not in {lines:#?}");
    }
    assert_eq!(lines.len(), Setting::ALL.len());
}

#[test]
fn a_list_is_taken_whole_from_the_strongest() {
    let around = env(&[("CAESURE_CONNECT", "1.1.1.1, two.example:2"), ("CAESURE_SERVE", "")]);
    let around = with_file!(around, "connect = [\"3.3.3.3\"]\nserve = [\"0.0.0.0:1\", \"[::]:1\"]\n");
    let config = resolve(Given::new(), None, &around).unwrap();
    assert_eq!(config.connect.iter().map(Target::to_string).collect::<Vec<_>>(), ["1.1.1.1:8333", "two.example:2"]);
    assert_eq!(config.serve.len(), 2, "an empty variable is as none");
}

#[test]
fn switches_page_and_numbers_from_a_file() {
    let text = with_file!(
        Around::bare(4),
        "webui = true\nmonitor = false\nno-pin = true\ncores = 9\nmemory = \"1G\"\nmin-chain-work = 0"
    );
    let config = resolve(Given::new(), None, &text).unwrap();
    assert_eq!(config.webui.unwrap().to_string(), "127.0.0.1:8380");
    assert_eq!((config.monitor, config.pin, config.cores, config.memory), (None, false, 9, 1 << 30));
    assert_eq!(config.min_chain_work, "0".parse().unwrap());
}

#[test]
fn unknown_names_are_errors_that_suggest() {
    let error = resolve(Given::new(), None, &with_file!(Around::bare(4), "outgoin = 3")).unwrap_err();
    assert_eq!(error, "outgoin in /home/u/.caesure/caesure.toml is no key of caesure's; outgoing is");
    let error = resolve(Given::new(), None, &with_file!(Around::bare(4), "min_chain_work = 0")).unwrap_err();
    assert!(error.ends_with("; min-chain-work is"), "{error}");
    let error = resolve(Given::new(), None, &with_file!(Around::bare(4), "[peers]\noutgoing = 3")).unwrap_err();
    assert!(error.starts_with("peers in /"), "{error}");
    assert!(resolve(Given::new(), None, &with_file!(Around::bare(4), "config = \"x\"")).is_err());
    let error = resolve(Given::new(), None, &env(&[("CAESURE_CORE", "1")])).unwrap_err();
    assert_eq!(error, "CAESURE_CORE is no variable of caesure's; CAESURE_CORES is");
    assert!(resolve(Given::new(), None, &env(&[("CAESURE_DATA", "/data"), ("CAESAR", "1")])).is_ok());
}

#[test]
fn bad_values_say_where_and_what_would_be_right() {
    let wrong = [
        (Setting::Chain, "mainnet"),
        (Setting::Outgoing, "10001"),
        (Setting::Incoming, "-1"),
        (Setting::Serve, "localhost:8333"),
        (Setting::Connect, "1.2.3.4:port"),
        (Setting::Webui, "example:80"),
        (Setting::User, "ann"),
        (Setting::Verbose, "loud"),
        (Setting::Log, "caesure=loud"),
        (Setting::Base, ""),
        (Setting::Cores, "0"),
        (Setting::Cores, "257"),
        (Setting::Memory, "512"),
        (Setting::Horizon, "15"),
        (Setting::Horizon, "1000"),
        (Setting::Horizon, "many"),
        (Setting::MonitorWrite, "yes"),
        (Setting::MinChainWork, "xyz"),
        (Setting::MinChainWork, ""),
        (Setting::Assumevalid, "1"),
        (Setting::Assumevalid, "xyz"),
    ];
    for (setting, text) in wrong {
        let error = with(&[(setting, text)]).unwrap_err();
        assert!(error.starts_with(&format!("--{}: ", setting.name())), "{error}");
    }
    let error = resolve(Given::new(), None, &env(&[("CAESURE_CORES", "many")])).unwrap_err();
    assert_eq!(error, "CAESURE_CORES: \"many\" is not a whole number from 1 to 256");
    let error = resolve(Given::new(), None, &with_file!(Around::bare(4), "cores = [1, 2]")).unwrap_err();
    assert!(error.starts_with("cores in /home/u/.caesure/caesure.toml: wanted one"), "{error}");
    let error = resolve(Given::new(), None, &with_file!(Around::bare(4), "cores = ")).unwrap_err();
    assert!(error.starts_with("/home/u/.caesure/caesure.toml: "), "{error}");
}

#[test]
fn test_chains_of_ones_own() {
    let on = |chain, pairs: &[_]| with(&[&[(Setting::Chain, chain)], pairs].concat());
    let config = on("signet", &[(Setting::SignetChallenge, "51")]).unwrap();
    assert_eq!(config.params.signet_challenge, Some(&[0x51][..]));
    // BIP325 by hand: sha256d(01 51).
    assert_eq!(config.folder, Path::new("/home/u/.caesure/signet-54d26fbd"));
    assert_eq!((config.min_chain_work, config.assume_valid), (Work::ZERO, None));
    let public = on("signet", &[]).unwrap();
    assert_eq!(public.folder, Path::new("/home/u/.caesure/signet"));
    assert_eq!(public.assume_valid, Some(public.params.assume_valid));

    let config = on(
        "regtest",
        &[
            (Setting::TestActivationHeight, "segwit@100"),
            (Setting::TestActivationHeight, "dersig@0"),
            (Setting::Vbparams, "testdummy:-1:9223372036854775807"),
            (Setting::Test, "bip94"),
        ],
    )
    .unwrap();
    let params = config.params;
    assert_eq!((params.segwit_height, params.bip66_height, params.csv_height, params.bip94), (100, 0, 1, true));
    let [testdummy] = params.deployments;
    assert_eq!((testdummy.start, testdummy.timeout, testdummy.min_height), (-1, i64::MAX, 0));
    assert!(config.effective().iter().any(|line| line == "test = bip94 (from flag)"));
    let [testdummy] = on("regtest", &[(Setting::Vbparams, "testdummy:5:6:288")]).unwrap().params.deployments;
    assert_eq!((testdummy.start, testdummy.timeout, testdummy.min_height), (5, 6, 288));

    let all = with(&[(Setting::Assumevalid, "0")]).unwrap();
    assert_eq!(all.assume_valid, None);
    let one = with(&[(Setting::Assumevalid, &"ab".repeat(32))]).unwrap();
    assert_eq!(one.assume_valid, Some(BlockHash([0xab; 32])));
    assert_eq!(with(&[]).unwrap().assume_valid, Some(Params::of(Network::Main).assume_valid));
}

#[test]
fn test_chains_take_what_core_takes_and_only_where_it_means_something() {
    let wrong = [
        ("signet", Setting::SignetChallenge, "5", "in hex"),
        ("signet", Setting::SignetChallenge, "5g", "in hex"),
        ("signet", Setting::SignetChallenge, "", "in hex"),
        ("signet", Setting::SignetChallenge, &"51".repeat(10_001), "1 to 10000 bytes"),
        ("regtest", Setting::SignetChallenge, "51", "try: --chain signet"),
        ("regtest", Setting::TestActivationHeight, "segwit", "try: segwit@200"),
        ("regtest", Setting::TestActivationHeight, "bip66@5", "bip34, cltv, dersig, csv, segwit"),
        ("regtest", Setting::TestActivationHeight, "csv@-1", "NAME@HEIGHT"),
        ("regtest", Setting::TestActivationHeight, "csv@2147483647", "NAME@HEIGHT"),
        ("testnet4", Setting::TestActivationHeight, "csv@1", "try: --chain regtest"),
        ("regtest", Setting::Vbparams, "testdummy:0", "testdummy:0:9999999999"),
        ("regtest", Setting::Vbparams, "testdummy:0:1:2:3", "NAME:START"),
        ("regtest", Setting::Vbparams, "taproot:0:1", "one of testdummy"),
        ("regtest", Setting::Vbparams, "testdummy:0:never", "seconds since 1970"),
        ("regtest", Setting::Vbparams, "testdummy:0:1:-1", "NAME:START"),
        ("main", Setting::Vbparams, "testdummy:0:1", "try: --chain regtest"),
        ("regtest", Setting::Test, "bip95", "there is: bip94"),
        ("main", Setting::Test, "bip94", "try: --chain regtest"),
    ];
    for (chain, setting, text, told) in wrong {
        let error = with(&[(Setting::Chain, chain), (setting, text)]).unwrap_err();
        assert!(error.starts_with(&format!("--{}: ", setting.name())) && error.contains(told), "{error}");
    }
}

#[test]
fn more_cores_than_cpus_is_refused_naming_both() {
    let sixteen = || flags(&[(Setting::Cores, "16")]);
    let error = resolve(sixteen(), None, &Around::bare(2)).unwrap_err();
    assert!(error.contains("--cores 16: this process may use 2 CPUs") && error.contains("--no-pin"), "{error}");
    let check = Tune::Check { profile: For { profile: tuning::Profile::Colo } };
    for command in [Command::Topology, Command::Tune(check)] {
        assert_eq!(resolve(sixteen(), Some(&command), &Around::bare(2)).unwrap().cores, 16);
    }
    assert_eq!(with(&[(Setting::Cores, "16"), (Setting::NoPin, "true")]).unwrap().cores, 16);
}

#[test]
fn users_open_the_page_to_all_addresses_unless_one_is_given() {
    let page = |text| with(&[(Setting::Webui, text), (Setting::User, "ann:pa:ss")]).unwrap().webui.unwrap().to_string();
    assert_eq!(page("on"), "[::]:8380");
    assert_eq!(page("9000"), "[::]:9000");
    assert_eq!(page("127.0.0.1:9000"), "127.0.0.1:9000");
    let config = with(&[(Setting::Webui, "on"), (Setting::User, "ann:pa:ss")]).unwrap();
    assert!(config.effective().iter().any(|line| line == "user = ann:*** (from flag)"));
    assert!(!format!("{config:?}{:?}", config.effective()).contains("pa:ss"));
}

#[test]
fn surprises_are_said() {
    let said = |pairs: &[_]| with(pairs).unwrap().warnings.join("; ");
    assert!(said(&[(Setting::User, "ann:pass")]).contains("--user has no effect"));
    assert!(said(&[(Setting::MonitorWrite, "on")]).contains("--monitor-write has no effect"));
    assert!(said(&[(Setting::Incoming, "5")]).contains("--incoming has no effect"));
    assert!(said(&[(Setting::Webui, "0.0.0.0:80")]).contains("asks nobody for a password"));
    assert_eq!(said(&[(Setting::Webui, "on"), (Setting::Incoming, "5"), (Setting::Serve, "[::]:1")]), "");
}

#[test]
fn paths_are_absolute_and_know_the_home() {
    let base = |text| with(&[(Setting::Base, text)]).unwrap().base;
    assert_eq!(base("data/./x"), Path::new("/here/data/x"));
    assert_eq!(base("~/x"), Path::new("/home/u/x"));
    assert_eq!(base("~x"), Path::new("/here/~x"));
    let homeless = Around { home: None, ..Around::bare(4) };
    assert!(resolve(Given::new(), None, &homeless).unwrap_err().contains("--base"));
    let long = format!("/{}", "a".repeat(SOCKET_PATH_MAX));
    assert!(with(&[(Setting::Monitor, &long)]).unwrap_err().contains("has 108 bytes, a socket's path at most 107"));
    assert!(with(&[(Setting::Monitor, &long[..SOCKET_PATH_MAX])]).is_ok());
}

#[test]
fn which_file_is_read() {
    let around = || with_file!(Around::bare(4), "base = \"/other\"");
    assert!(resolve(Given::new(), None, &around()).unwrap_err().contains("cannot move the folder it lies in"));
    let named = flags(&[(Setting::Config, "~/.caesure/caesure.toml")]);
    assert_eq!(resolve(named, None, &around()).unwrap().base, Path::new("/other"));
    assert!(resolve(Given::new(), Some(&Command::Demo), &around()).is_ok(), "the demo reads no file it was not given");
    let missing = resolve(flags(&[(Setting::Config, "x.toml")]), None, &around()).unwrap_err();
    assert!(missing.starts_with("/here/x.toml cannot be read"), "{missing}");
}

#[test]
fn the_horizon_has_bounds_that_are_told() {
    for blocks in [16, 100, 999] {
        assert_eq!(with(&[(Setting::Horizon, &blocks.to_string())]).unwrap().horizon, blocks);
    }
    let error = with(&[(Setting::Horizon, "15")]).unwrap_err();
    assert_eq!(error, "--horizon: \"15\" is not a whole number from 16 to 999");
}

#[test]
fn pruning_has_a_least_size_and_needs_checkpoints() {
    let given = |chain: &str, size: &str, more: &[(Setting, &str)]| {
        with(&[&[(Setting::Chain, chain), (Setting::Prune, size)], more].concat())
    };
    assert_eq!(given("main", "550M", &[]).unwrap().prune, Some(576_716_800));
    assert_eq!(
        (given("main", "0", &[]).unwrap().prune, given("regtest", "64K", &[]).unwrap().prune),
        (None, Some(65_536))
    );
    let error = given("signet", "549M", &[]).unwrap_err();
    assert!(error.starts_with("--prune: \"549M\" is 575668224 bytes, wanted 576716800 (550M) or more"), "{error}");
    let error = given("main", "1G", &[(Setting::CheckpointBandwidth, "0")]).unwrap_err();
    assert!(error.contains("--checkpoint-bandwidth 0 makes none"), "{error}");
    assert!(given("main", "0", &[(Setting::CheckpointBandwidth, "0")]).is_ok());
}

#[test]
fn lanes_decide_everything_on_main_only_for_who_means_it() {
    let with = |given: &[(Setting, &str)]| with(given).map(|config| (config.lanes, config.yes));
    assert_eq!(with(&[]), Ok((Mode::Auto, false)));
    assert_eq!(with(&[(Setting::Lanes, "check")]), Ok((Mode::Check, false)));
    let why = with(&[(Setting::Lanes, "all")]).unwrap_err();
    assert!(why.contains("--lanes all") && why.contains("--yes"), "{why}");
    assert_eq!(with(&[(Setting::Lanes, "all"), (Setting::Yes, "true")]), Ok((Mode::All, true)));
    assert_eq!(with(&[(Setting::Lanes, "all"), (Setting::Chain, "signet")]), Ok((Mode::All, false)));
    assert!(with(&[(Setting::Lanes, "some")]).unwrap_err().contains("auto, off, check, all"));
}
