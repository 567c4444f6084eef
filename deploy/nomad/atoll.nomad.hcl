# Untested: no Nomad was at hand. One host of Atoll, by the `docker` driver, with a volume of the client that it is on.
#
#   nomad var put nomad/jobs/atoll token=$(openssl rand -hex 32)
#   nomad job run deploy/nomad/atoll.nomad.hcl
job "atoll" {
  type = "service"

  group "host" {
    count = 1

    network {
      port "http" { to = 8080 }
      port "admin" { to = 9090 }
    }

    # Declared as `host_volume "atoll"` in the client's configuration, owned by 65532: the database lives there.
    volume "state" {
      type   = "host"
      source = "atoll"
    }

    # The database has one owner: the old host ends before the new one starts.
    update {
      max_parallel     = 1
      health_check     = "checks"
      min_healthy_time = "5s"
      healthy_deadline = "2m"
      auto_revert      = true
    }

    service {
      name     = "atoll"
      port     = "http"
      provider = "nomad"

      check {
        type     = "http"
        port     = "admin"
        path     = "/readyz"
        interval = "2s"
        timeout  = "2s"
      }
    }

    task "atoll" {
      driver = "docker"
      user   = "65532:65532"
      # The drain of the manifest (30 s), and 45 s for what comes after it. `max_kill_timeout` of the client must allow
      # it: its default is 30 s.
      kill_timeout = "75s"
      # Seconds in which the service's entry goes before SIGTERM comes.
      shutdown_delay = "5s"

      config {
        image           = "atoll:0.1.0"
        args            = ["run", "atoll.toml", "--log-format", "json"]
        ports           = ["http", "admin"]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
      }

      volume_mount {
        volume      = "state"
        destination = "/srv/atoll/.atoll"
      }

      template {
        destination = "secrets/atoll.env"
        env         = true
        data        = <<-EOT
          ATOLL_ADMIN_TOKEN={{ with nomadVar "nomad/jobs/atoll" }}{{ .token }}{{ end }}
        EOT
      }

      env {
        ATOLL_GATEWAY_LISTEN = "0.0.0.0:8080"
        ATOLL_ADMIN_LISTEN   = "0.0.0.0:9090"
      }

      resources {
        cpu        = 500
        memory     = 256
        memory_max = 1024
      }
    }
  }
}
