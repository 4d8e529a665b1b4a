//! The configuration that is built in for development. Its secrets are public.

/// What places of `DEV_TEXT` are called.
pub const DEV_NAME: &str = "(embedded development configuration)";

/// What `rookery serve --dev` runs with, and `rookery token --dev` signs with.
/// Its secrets stand in the source, so they protect nothing.
pub const DEV_TEXT: &str = r#"
[server]
listen = "127.0.0.1:8000"
connections_max = 15000

[ws]
origins = ["http://localhost", "http://localhost:*", "http://127.0.0.1", "http://127.0.0.1:*"]

[store]
dir = "rookery-data"

[admin]
token = "rookery-development-admin-token"

[[auth.keys]]
algorithm = "HS256"
secret = "rookery-development-secret-known-to-everyone"

[[namespaces]]
name = "room"
subscribe = "users"
publish = "subscribers"
see_presence = "subscribers"
see_history = "subscribers"
presence = true
join_leave = true
history_count_max = 10000
history_bytes_max = 16777216

[[namespaces]]
name = "news"
subscribe = "users"
publish = "users"
see_presence = "subscribers"
see_history = "subscribers"
presence = true
join_leave = true
history_count_max = 10000
history_bytes_max = 16777216

[[namespaces]]
name = "group"
groups = "invited"
subscribe = "users"
publish = "subscribers"
see_presence = "subscribers"
see_history = "subscribers"
presence = true
join_leave = true
history_count_max = 10000
history_bytes_max = 16777216

[[namespaces]]
name = "@"
subscribe = "nobody"
publish = "users"
see_history = "subscribers"
history_count_max = 10000
history_bytes_max = 16777216

[[namespaces]]
name = "dm"
subscribe = "users"
publish = "users"
see_presence = "subscribers"
see_history = "subscribers"
presence = true
history_count_max = 10000
history_bytes_max = 16777216
"#;
