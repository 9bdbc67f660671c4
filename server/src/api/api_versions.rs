//! ApiVersions: which requests this broker answers, in which versions.
//!
//! No features are told of. A feature is a promise about what the whole cluster does (the version of the
//! metadata log, of transactions, of groups), and a client that finds none does without all of them.

use super::{Call, Reply};
use crate::net::conn::Ended;
use crate::wire::messages::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{APIS, Api, ApiRow, ErrorCode};

/// From this version on clients say what software they are.
const SOFTWARE_FROM: i16 = 3;

pub(crate) fn handle(request: &ApiVersionsRequest, call: &Call) -> Result<Reply, Ended> {
    call.now(&respond(request, call.version))
}

/// Answers a version to come in the oldest one, with the versions that there are: the client asks again.
pub(crate) fn refuse_version(mut call: Call) -> Result<Reply, Ended> {
    call.version = 0;
    call.now(&ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion as i16,
        api_keys: vec![versions_of(Api::ApiVersions.row())],
        ..ApiVersionsResponse::default()
    })
}

fn respond(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    let names = [&request.client_software_name, &request.client_software_version];
    if version >= SOFTWARE_FROM && !names.into_iter().all(|name| is_software(name)) {
        let error_code = ErrorCode::InvalidRequest as i16;
        return ApiVersionsResponse { error_code, ..ApiVersionsResponse::default() };
    }
    ApiVersionsResponse {
        api_keys: APIS.iter().map(|row| versions_of(row)).collect(),
        ..ApiVersionsResponse::default()
    }
}

fn versions_of(row: &ApiRow) -> ApiVersion {
    ApiVersion { api_key: row.key(), min_version: row.advertised.min, max_version: row.advertised.max }
}

/// Whether a text may name software or its version: letters, digits, and dots and hyphens between them.
fn is_software(text: &str) -> bool {
    let is_inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    let is_end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().copied().all(is_inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Text;

    fn answer(name: &str, version: &str, api_version: i16) -> (i16, usize) {
        let request = ApiVersionsRequest {
            client_software_name: Text::from(name),
            client_software_version: Text::from(version),
        };
        let response = respond(&request, api_version);
        (response.error_code, response.api_keys.len())
    }

    #[test]
    fn clients_say_what_they_are_or_are_told_nothing() {
        for (name, version) in [("apache-kafka-java", "4.3.1"), ("a", "0"), ("a.b-c", "1-rc.1")] {
            assert_eq!(answer(name, version, 3), (0, APIS.len()), "{name} {version}");
        }
        for name in ["", "a b", "-a", "a-", ".", "é", "a_b"] {
            assert_eq!(answer(name, "1", 4), (42, 0), "{name}");
            assert_eq!(answer("a", name, 3), (42, 0), "{name}");
            assert_eq!(answer(name, name, 2), (0, APIS.len()), "{name}");
        }
    }

    #[test]
    fn versions_are_the_advertised_ones_and_features_are_none() {
        let request = ApiVersionsRequest::default();
        let response = respond(&request, 0);
        for (told, row) in response.api_keys.iter().zip(&APIS) {
            assert_eq!((told.api_key, told.min_version), (row.key(), row.advertised.min));
            assert_eq!(told.max_version, row.advertised.max, "{}", row.name);
        }
        assert_eq!(response.supported_features, []);
        assert_eq!((response.finalized_features_epoch, response.finalized_features), (-1, vec![]));
    }
}
