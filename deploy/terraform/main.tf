# Untested: no Terraform was at hand. The chart by the Helm provider, with a manifest beside this file, and the admin's
# token, which Terraform makes, so that it is in Terraform's state: keep that state encrypted.
terraform {
  required_version = ">= 1.9"
  required_providers {
    helm       = { source = "hashicorp/helm", version = "~> 3.1" }
    kubernetes = { source = "hashicorp/kubernetes", version = "~> 2.38" }
    random     = { source = "hashicorp/random", version = "~> 3.7" }
  }
}

variable "image" {
  description = "The image with your components, by digest."
  type        = object({ repository = string, digest = string })
}

resource "kubernetes_namespace_v1" "atoll" {
  metadata {
    name = "atoll"
    # The chart's pods keep to the strictest of the pod security standards.
    labels = { "pod-security.kubernetes.io/enforce" = "restricted" }
  }
}

resource "random_id" "admin_token" {
  byte_length = 32
}

resource "kubernetes_secret_v1" "admin" {
  metadata {
    name      = "atoll-admin"
    namespace = kubernetes_namespace_v1.atoll.metadata[0].name
  }
  data = { token = random_id.admin_token.hex }
}

resource "helm_release" "atoll" {
  name      = "atoll"
  chart     = "${path.module}/../helm/atoll"
  namespace = kubernetes_namespace_v1.atoll.metadata[0].name
  # A release whose hosts are not ready in time goes back to the one before.
  atomic  = true
  timeout = 300

  values = [yamlencode({
    manifest = file("${path.module}/atoll.toml")
    image    = var.image
    admin    = { tokenSecret = { name = kubernetes_secret_v1.admin.metadata[0].name, key = "token" } }
  })]
}
