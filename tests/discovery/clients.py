"""Reads the fakes of Consul, Eureka and an API server with clients that others have written.

Prints what the clients have understood, as JSON. Arguments: the three addresses, each `host:port`.
"""

import asyncio
import json
import sys

import consul
import kubernetes
import py_eureka_client.eureka_client as eureka


def read_consul(address):
    host, port = address.rsplit(":", 1)
    client = consul.Consul(host=host, port=int(port), token="t")
    index, nodes = client.health.service("users", passing=True)
    instances = [
        [node["Node"]["Address"], node["Service"]["Port"], node["Service"]["Weights"]["Passing"],
         node["Checks"][0]["Status"]]
        for node in nodes
    ]
    return {"index": str(index), "instances": sorted(instances)}


def read_eureka(address):
    application = asyncio.run(eureka.get_application(f"http://{address}/eureka", "users"))
    return sorted(
        [one.ipAddr, one.port.port, one.status, one.metadata["zone"]] for one in application.instances
    )


def read_kubernetes(address):
    settings = kubernetes.client.Configuration(host=f"http://{address}")
    settings.api_key = {"authorization": "t"}
    settings.api_key_prefix = {"authorization": "Bearer"}
    api = kubernetes.client.DiscoveryV1Api(kubernetes.client.ApiClient(settings))
    of_users = {"namespace": "shop", "label_selector": "kubernetes.io/service-name=users"}
    listed, after = [], None
    while True:
        page = api.list_namespaced_endpoint_slice(limit=1, _continue=after, **of_users)
        listed += page.items
        after = page.metadata._continue
        if not after:
            break
    watch = kubernetes.watch.Watch().stream(
        api.list_namespaced_endpoint_slice, resource_version="1", timeout_seconds=1, **of_users
    )
    return {
        "listed": [
            [one.metadata.name, one.endpoints[0].addresses[0], one.endpoints[0].conditions.ready,
             one.endpoints[0].zone, one.ports[0].port]
            for one in listed
        ],
        "version": page.metadata.resource_version,
        "watched": [f"{event['type']} {event['object'].metadata.name}" for event in watch],
    }


if __name__ == "__main__":
    of_consul, of_eureka, of_kubernetes = sys.argv[1:]
    print(json.dumps({
        "consul": read_consul(of_consul),
        "eureka": read_eureka(of_eureka),
        "kubernetes": read_kubernetes(of_kubernetes),
    }))
