//! What stands before every request and response.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    RequestHeader "1-2", flexible "2+" {
        request_api_key: i16 = "0+";
        request_api_version: i16 = "0+";
        correlation_id: i32 = "0+";
        /// Never compact: a broker must find the end of the header of an ApiVersions request that is newer
        /// than itself.
        client_id: Option<Text> = "1+", nullable "1+", flexible "none";
    }
}

message! {
    ResponseHeader "0-1", flexible "1+" {
        correlation_id: i32 = "0+";
    }
}
