//! Which network's rules the node is under: one of the five, or one of them with a challenge, heights or deployments of
//! one's own, put together once at the start.
//!
//! Decides nothing about a rule; what may be changed where is that of Bitcoin Core's options of the same names.

use crate::settings::{Layers, Setting};
use consensus::{BURIED, BlockHash, Buried, Network, Params};

/// A longer challenge can never be satisfied: Core `MAX_SCRIPT_SIZE`, bytes.
const CHALLENGE_MAX: usize = 10_000;
/// Heights are signed in Core.
const HEIGHT_MAX: u32 = i32::MAX as u32;

/// The parameters of `chain` with all that was said of them.
pub fn params(l: &Layers, chain: Network) -> Result<&'static Params, String> {
    let custom = [Setting::SignetChallenge, Setting::TestActivationHeight, Setting::Vbparams, Setting::Test];
    if !custom.iter().any(|setting| l.said.contains_key(setting)) {
        return Ok(Params::of(chain));
    }
    let mut params = *Params::of(chain);
    if let Some(challenge) = l.one(Setting::SignetChallenge, None, |text| challenge(text, chain).map(Some))? {
        params = Params::signet_of(challenge.leak());
    }
    for (buried, height) in l.list(Setting::TestActivationHeight, |text| activation(text, chain))? {
        *(buried.height)(&mut params) = height;
    }
    for (index, start, timeout, min_height) in l.list(Setting::Vbparams, |text| vbparams(text, chain))? {
        let deployment = &mut params.deployments[index];
        (deployment.start, deployment.timeout, deployment.min_height) = (start, timeout, min_height);
    }
    params.bip94 |= !l.list(Setting::Test, |text| test(text, chain))?.is_empty();
    // Whatever lives as long as the process may refer to it; there is one.
    Ok(Box::leak(Box::new(params)))
}

/// The name of the network's folder below the base; main has none. Signets with challenges of their own share neither
/// blocks nor addresses, so each has its own.
pub fn folder(params: &Params) -> Option<String> {
    match params.network {
        Network::Main => None,
        Network::Signet if params.magic != Params::of(Network::Signet).magic => {
            let [a, b, c, d] = params.magic;
            Some(format!("signet-{a:02x}{b:02x}{c:02x}{d:02x}"))
        }
        network => Some(network.to_string()),
    }
}

/// A block whose ancestors' scripts are believed; none for 0.
pub fn assume_valid(text: &str) -> Result<Option<BlockHash>, String> {
    match text {
        "0" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| {
            format!("{text:?} is not a block's hash of 64 hex digits, nor 0, which is to verify every script")
        }),
    }
}

fn only_on(wanted: Network, chain: Network) -> Result<(), String> {
    match chain == wanted {
        true => Ok(()),
        false => Err(format!("it is for {wanted} only, and this is {chain}; try: --chain {wanted}")),
    }
}

fn challenge(text: &str, chain: Network) -> Result<Vec<u8>, String> {
    only_on(Network::Signet, chain)?;
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [a, b] => Some((char::from(*a).to_digit(16)? << 4 | char::from(*b).to_digit(16)?) as u8),
        _ => None,
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    let fits = bytes.filter(|bytes| (1..=CHALLENGE_MAX).contains(&bytes.len()));
    fits.ok_or_else(|| format!("{text:?} is not a script of 1 to {CHALLENGE_MAX} bytes in hex, such as 51 for OP_TRUE"))
}

fn height(text: &str) -> Option<u32> {
    text.parse().ok().filter(|height| *height < HEIGHT_MAX)
}

fn activation(text: &str, chain: Network) -> Result<(Buried, u32), String> {
    only_on(Network::Regtest, chain)?;
    let wrong = || {
        let names = BURIED.map(|buried| buried.option).join(", ");
        format!("{text:?} is not NAME@HEIGHT, NAME one of {names}; try: segwit@200")
    };
    let (name, at) = text.split_once('@').ok_or_else(wrong)?;
    let buried = BURIED.into_iter().find(|buried| buried.option == name).ok_or_else(wrong)?;
    Ok((buried, height(at).ok_or_else(wrong)?))
}

fn vbparams(text: &str, chain: Network) -> Result<(usize, i64, i64, u32), String> {
    only_on(Network::Regtest, chain)?;
    let known = &Params::of(chain).deployments;
    let wrong = || {
        let names = known.map(|deployment| deployment.name).join(", ");
        format!(
            "{text:?} is not NAME:START:END[:MINHEIGHT], NAME one of {names}, START and END in seconds since 1970 \
             (START -1 is always active, -2 never); try: testdummy:0:9999999999"
        )
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (name, start, end, min) = match parts[..] {
        [name, start, end] => (name, start, end, "0"),
        [name, start, end, min] => (name, start, end, min),
        _ => return Err(wrong()),
    };
    let index = known.iter().position(|deployment| deployment.name == name).ok_or_else(wrong)?;
    let time = |text: &str| text.parse::<i64>().map_err(|_| wrong());
    Ok((index, time(start)?, time(end)?, height(min).ok_or_else(wrong)?))
}

fn test(text: &str, chain: Network) -> Result<(), String> {
    only_on(Network::Regtest, chain)?;
    match text {
        "bip94" => Ok(()),
        _ => Err(format!("{text:?} is no test option; there is: bip94")),
    }
}
