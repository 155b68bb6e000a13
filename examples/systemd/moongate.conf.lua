-- The configuration of the moongate service. `moongate check -c FILE` says what is wrong with it;
-- `systemctl reload moongate` puts it in force.
return {
  listen = "127.0.0.1:8080",
  -- For TLS: listen = { addr = "0.0.0.0:8443", cert = "/etc/moongate/cert.pem", key = "/etc/moongate/key.pem" },

  store = "sqlite:/var/lib/moongate/moongate.db",
  admin_token = env("MOONGATE_ADMIN_TOKEN", nil),   -- from moongate.env; `moongate key create` needs it

  -- A folder "policies" beside this file, if there is one, is hot-reloaded, and takes the place of those that are built
  -- in: copy these there to begin with.

  providers = {
    -- groq = { api_key = env "GROQ_API_KEY" },
    ollama = { is_local = true },                    -- on this machine, if it runs
  },
}
