//! DescribeConfigs: the settings of topics and brokers, and where they come from.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    DescribeConfigsRequest "1-4", flexible "4+" {
        resources: Vec<DescribeConfigsResource> = "0+";
        include_synonyms: bool = "1+", default false;
        include_documentation: bool = "3+", default false;
    }

    DescribeConfigsResource {
        resource_type: i8 = "0+";
        resource_name: Text = "0+";
        configuration_keys: Option<Vec<Text>> = "0+", nullable "0+";
    }
}

message! {
    DescribeConfigsResponse "1-4", flexible "4+" {
        throttle_time_ms: i32 = "0+";
        results: Vec<DescribeConfigsResult> = "0+";
    }

    DescribeConfigsResult {
        error_code: i16 = "0+";
        error_message: Option<Text> = "0+", nullable "0+";
        resource_type: i8 = "0+";
        resource_name: Text = "0+";
        configs: Vec<DescribeConfigsResourceResult> = "0+";
    }

    DescribeConfigsResourceResult {
        name: Text = "0+";
        value: Option<Text> = "0+", nullable "0+";
        read_only: bool = "0+";
        config_source: i8 = "1+", default -1;
        is_sensitive: bool = "0+";
        synonyms: Vec<DescribeConfigsSynonym> = "1+";
        config_type: i8 = "3+", default 0;
        documentation: Option<Text> = "3+", nullable "0+";
    }

    DescribeConfigsSynonym {
        name: Text = "1+";
        value: Option<Text> = "1+", nullable "0+";
        source: i8 = "1+";
    }
}
