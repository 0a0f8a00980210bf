"""What pods get: cards, images, keys, places, and who may speak with whom."""

from typing import Any

import pytest

from parley_operator.actions import Delete
from parley_operator.judgement import Facts, judge, values_to_read
from parley_operator.plan import Observed, plan
from parley_operator.resources.claims import amount, is_shared
from parley_operator.resources.objects import Installation, Object, value_hash
from parley_testkit.first_plans import NOW, UID, new_keys, resource

SHARED = {"gpu": {"sharing": "shared"}}
EXTERNAL_NATS = {"nats": {"url": "nats://a.far:4333,tls://b.far", "credentialsSecretRef": {"name": "keys"}}}


def made(installation: Installation | None = None, /, **spec: object) -> dict[tuple[str, str], Object]:
    """Return everything that is made at first, by kind and what follows the assistant's name."""
    there = resource({"metadata": {"name": "libra"}, "spec": spec})
    values = values_to_read(there, ())
    judgement = judge(there, (), Facts(values=values, secrets=frozenset(name for name, _ in values)))
    assert not judgement.refusals
    actions = plan(judgement, Observed(uid=UID, new_keys=new_keys()), installation or Installation(), NOW).actions
    objects = [action.object for action in actions if not isinstance(action, Delete)]
    return {(each["kind"], each["metadata"]["name"].removeprefix("libra-")): each for each in objects}


def pod(name: str, **spec: object) -> Object:
    found: Object = made(**spec)["Deployment", name]["spec"]["template"]["spec"]
    return found


def container(name: str, **spec: object) -> Object:
    [found] = pod(name, **spec)["containers"]
    return dict(found)


def environment(of: Object) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in of["env"]}


def policy(name: str, **spec: object) -> Object:
    found: Object = made(**spec)["NetworkPolicy", name]["spec"]
    return found


# --- Cards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharing, users", [("shared", {"asr", "ollama"}), ("exclusive", {"ollama"}), ("none", set())])
def test_a_share_of_the_card_goes_to_those_that_sharing_says(sharing: str, users: set[str]) -> None:
    pods = {
        name: each["spec"]["template"]["spec"]
        for (kind, name), each in made(gpu={"sharing": sharing}).items()
        if kind == "Deployment"
    }

    with_share = {name for name, each in pods.items() if "limits" in each["containers"][0]["resources"]}
    with_runtime = {name for name, each in pods.items() if each.get("runtimeClassName") == "nvidia"}
    blind = {
        name
        for name, each in pods.items()
        if environment(each["containers"][0]).get("NVIDIA_VISIBLE_DEVICES") == "void"
    }
    assert with_share == with_runtime == users
    assert blind == set(pods) - users


def test_a_card_of_another_name_and_a_node_whose_default_runtime_knows_it() -> None:
    asr = pod("asr", gpu={"sharing": "shared", "resourceName": "nvidia.com/gpu.shared", "runtimeClassName": ""})

    assert asr["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu.shared": "1"}
    assert "runtimeClassName" not in asr


def test_pods_with_a_card_are_replaced_and_others_roll() -> None:
    strategies = {
        name: each["spec"]["strategy"]["type"] for (kind, name), each in made(**SHARED).items() if kind == "Deployment"
    }

    assert strategies == {
        "asr": "Recreate",
        "ollama": "Recreate",
        "tts": "RollingUpdate",
        "agent": "RollingUpdate",
        "gateway": "RollingUpdate",
    }


def test_a_gateway_with_a_discord_token_is_replaced_for_two_would_both_answer() -> None:
    objects = made(doors={"discord": {"tokenSecretRef": {"name": "vault", "key": "token"}}})

    gateway = objects["Deployment", "gateway"]["spec"]
    assert gateway["strategy"] == {"type": "Recreate"}
    assert environment(gateway["template"]["spec"]["containers"][0])["DISCORD_TOKEN"] == {
        "secretKeyRef": {"name": "vault", "key": "token"}
    }


def test_who_mounts_the_models_follows_the_card_and_who_does_not_goes_anywhere() -> None:
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    objects = made(gpu={"sharing": "shared", "nodeSelector": {"gpu": "yes"}, "tolerations": tolerations})

    templates = {
        key: each["spec"]["template"]["spec"] for key, each in objects.items() if "template" in each.get("spec", {})
    }
    bound = {name for (_, name), each in templates.items() if each.get("nodeSelector") == {"gpu": "yes"}}
    free = {name for (_, name), each in templates.items() if "nodeSelector" not in each}
    assert free == {"agent", "nats"}
    assert {"asr", "tts", "gateway", "ollama"} < bound
    assert all(each.get("tolerations") == tolerations for (_, name), each in templates.items() if name in bound)


def test_who_mounts_the_models_goes_where_others_are_that_do_unless_all_nodes_may_mount_them() -> None:
    pods = {
        name: each["spec"]["template"]["spec"]
        for (kind, name), each in made(profile="laptop").items()
        if kind in {"Deployment", "StatefulSet", "Job"}
    }

    together = {name for name, each in pods.items() if "affinity" in each}
    assert {"agent", "nats"} == set(pods) - together
    [term] = pods["asr"]["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["labelSelector"] == {
        "matchLabels": {"app.kubernetes.io/name": "parley", "app.kubernetes.io/instance": "libra"},
        "matchExpressions": [
            {
                "key": "app.kubernetes.io/component",
                "operator": "In",
                "values": ["asr", "gateway", "ollama", "pull", "tts"],
            }
        ],
    }
    assert not is_shared(None)
    assert is_shared({"spec": {"accessModes": ["ReadWriteMany"]}})


# --- What the spec says of pods --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "images, asr, ollama",
    [
        ({}, "ours.example/parley-asr:9.9", "docker.io/ollama/ollama:0.34.0"),
        ({"registry": "mirror.example/p"}, "mirror.example/p/parley-asr:9.9", "mirror.example/p/ollama:0.34.0"),
        ({"tag": "dev"}, "ours.example/parley-asr:dev", "docker.io/ollama/ollama:0.34.0"),
    ],
)
def test_images_come_from_where_the_spec_says_and_else_from_the_operators_own(
    images: dict[str, str], asr: str, ollama: str
) -> None:
    objects = made(Installation(registry="ours.example", tag="9.9"), images=images)

    found = {
        name: objects["Deployment", name]["spec"]["template"]["spec"]["containers"][0]["image"]
        for name in ("asr", "ollama")
    }
    assert found == {"asr": asr, "ollama": ollama}


def test_pull_secrets_and_policy_are_every_pods() -> None:
    objects = made(images={"pullSecrets": ["mine"], "pullPolicy": "Always"})

    for (_, name), each in objects.items():
        if "template" in each.get("spec", {}):
            spec = each["spec"]["template"]["spec"]
            assert spec["imagePullSecrets"] == [{"name": "mine"}], name
            assert spec["containers"][0]["imagePullPolicy"] == "Always", name


def test_resources_are_what_is_written_over_what_is_kept_free_by_default() -> None:
    asr = container(
        "asr", asr={"resources": {"requests": {"cpu": 2}, "limits": {"memory": "4Gi"}}}, gpu={"sharing": "none"}
    )

    # A limit alone is the request too, so that no default may stand beside it that could be above it.
    assert asr["resources"] == {"requests": {"cpu": "2"}, "limits": {"memory": "4Gi"}}


def test_ollama_gets_its_environment_from_the_spec() -> None:
    llm = {
        "keepAlive": "10m",
        "ollama": {"numParallel": 2, "maxLoadedModels": 3, "flashAttention": True, "kvCacheType": "q8_0"},
    }

    variables = environment(container("ollama", llm=llm))

    assert {name: value for name, value in variables.items() if name.startswith("OLLAMA_")} == {
        "OLLAMA_KEEP_ALIVE": "10m",
        "OLLAMA_MAX_LOADED_MODELS": "3",
        "OLLAMA_NUM_PARALLEL": "2",
        "OLLAMA_FLASH_ATTENTION": "true",
        "OLLAMA_KV_CACHE_TYPE": "q8_0",
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_HOST": "0.0.0.0:11434",
        "OLLAMA_MODELS": "/models/ollama",
    }


# --- The broker and its keys -----------------------------------------------------------------------------------------


def test_each_service_is_given_its_own_seed_and_no_other() -> None:
    objects = made()

    for service in ("asr", "tts", "agent", "gateway"):
        spec = objects["Deployment", service]["spec"]["template"]["spec"]
        secrets = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
        assert secrets == [f"libra-nats-{service}"]
        assert environment(spec["containers"][0])["NATS_SEED_FILE"] == "/run/parley/seed.nk"


def test_a_broker_of_the_owners_is_reached_with_its_credentials_and_none_is_made() -> None:
    objects = made(**EXTERNAL_NATS)

    assert not any(name.startswith("nats") for _, name in objects)
    asr = objects["Deployment", "asr"]["spec"]["template"]["spec"]
    variables = environment(asr["containers"][0])
    assert (variables["NATS_URL"], variables["NATS_SEED_FILE"]) == (
        "nats://a.far:4333,tls://b.far",
        "/run/parley/asr.creds",
    )
    [secret] = [volume["secret"] for volume in asr["volumes"] if "secret" in volume]
    assert (secret["secretName"], secret["items"]) == ("keys", [{"key": "asr.creds", "path": "asr.creds"}])


def test_an_ollama_of_the_owners_is_reached_and_none_is_made_and_nothing_pulled_for_it() -> None:
    objects = made(llm={"externalUrl": "https://models.far"})

    assert not any("ollama" in name for _, name in objects)
    assert environment(objects["Deployment", "agent"]["spec"]["template"]["spec"]["containers"][0])["OLLAMA_URL"] == (
        "https://models.far"
    )
    assert objects["Deployment", "agent"]["spec"]["paused"] is False
    models = {
        each["metadata"]["annotations"]["parley.dev/model"] for (kind, _), each in objects.items() if kind == "Job"
    }
    assert not any("qwen" in model for model in models)


# --- Who may speak with whom -----------------------------------------------------------------------------------------


def ports_out(of: Object) -> list[tuple[bool, list[object]]]:
    """Whether a rule names whom it reaches, and the ports."""
    return [("to" in rule, [port["port"] for port in rule.get("ports", [])]) for rule in of["egress"]]


def test_a_service_reaches_its_connections_and_names_and_nothing_else() -> None:
    assert ports_out(policy("agent")) == [(True, []), (False, [53, 53]), (True, [4222]), (True, [11434])]
    assert ports_out(policy("asr")) == [(True, []), (False, [53, 53]), (True, [4222])]
    assert policy("ollama")["egress"] == []


def test_what_the_owner_runs_is_reached_wherever_it_is_at_its_ports() -> None:
    spec = {
        **EXTERNAL_NATS,
        "llm": {"externalUrl": "https://models.far"},
        "telemetry": {"otlpEndpoint": "http://otel:4318"},
    }

    assert ports_out(policy("agent", **spec))[2:] == [
        (False, [4222, 4333]),
        (True, []),
        (False, [443]),
        (True, []),
        (False, [4318]),
        (True, []),
    ]


@pytest.mark.parametrize(
    "host, namespaces",
    [
        ("ollama.models.svc", ["models"]),
        ("ollama.models.svc.cluster.local", ["models"]),
        ("ollama-0.ollama.models.svc", ["models"]),
        ("ollama.models", ["models"]),
        ("ollama", ["default"]),
        ("models.far.example", []),
        ("192.0.2.7", []),
        ("[2001:db8::7]", []),
    ],
)
def test_behind_a_service_of_the_cluster_pods_are_reached_at_whatever_port_they_have(
    host: str, namespaces: list[str]
) -> None:
    rules = policy("agent", llm={"externalUrl": f"http://{host}/api"})["egress"]

    assert {"ports": [{"protocol": "TCP", "port": 80}]} in rules
    found = [
        to["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in rules
        if "ports" not in rule
        for to in rule["to"]
        if "podSelector" not in to
    ]
    assert found == namespaces


def test_discord_is_reached_over_https_and_its_voice_servers_at_whatever_ports_they_name() -> None:
    rules = policy("gateway", doors={"discord": {"tokenSecretRef": {"name": "vault", "key": "token"}}})["egress"]

    assert rules[-1] == {
        "ports": [
            {"protocol": "TCP", "port": 443},
            {"protocol": "TCP", "port": 1024, "endPort": 65535},
            {"protocol": "UDP", "port": 1024, "endPort": 65535},
        ]
    }


ELSEWHERE: Any = {
    "tokenSecretRef": {"name": "vault", "key": "token"},
    "endpoint": {
        "apiBase": "http://there:8080/api/v10",
        "gatewayUrl": "wss://there",
        "caSecretRef": {"name": "trust", "key": "ca.crt"},
    },
}


def test_a_discord_elsewhere_is_reached_on_its_own_ports() -> None:
    endpoint = {**ELSEWHERE["endpoint"], "apiBase": "http://there/api/v10"}

    rules = policy("gateway", doors={"discord": {**ELSEWHERE, "endpoint": endpoint}})["egress"]

    assert {"protocol": "TCP", "port": 80} in rules[-1]["ports"]
    assert {"protocol": "TCP", "port": 1024, "endPort": 65535} in rules[-1]["ports"]


def test_the_authority_of_a_discord_elsewhere_is_mounted_as_a_file_and_a_new_one_replaces_the_pod() -> None:
    gateway = container("gateway", doors={"discord": ELSEWHERE})
    [volume] = [
        each for each in pod("gateway", doors={"discord": ELSEWHERE})["volumes"] if each["name"] == "discord-ca"
    ]

    assert environment(gateway)["DISCORD_CA_FILE"] == "/run/discord-ca/ca.crt"
    assert {"name": "discord-ca", "mountPath": "/run/discord-ca", "readOnly": True} in gateway["volumeMounts"]
    assert volume["secret"]["secretName"] == "trust"
    assert "trust/ca.crt" in read_by_gateway(doors={"discord": ELSEWHERE})


def read_by_gateway(**spec: object) -> set[str]:
    there = resource({"metadata": {"name": "libra"}, "spec": spec})
    return {f"{secret}/{key}" for secret, key in values_to_read(there, ())}


def test_the_web_door_is_open_to_all_and_closed_where_it_is_not_enabled() -> None:
    door = {"discord": {"tokenSecretRef": {"name": "vault", "key": "token"}}, "web": {"enabled": False}}

    assert policy("gateway")["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8001}]}]
    [rule] = policy("gateway", doors=door)["ingress"]
    assert "from" in rule


def ingress(**fields: object) -> Object:
    found: Object = made(doors={"web": {"ingress": {"host": "libra.example", **fields}}})["Ingress", "gateway"]
    return found


def test_an_ingress_lets_in_what_is_for_clients_and_nothing_else() -> None:
    [rule] = ingress()["spec"]["rules"]

    service = {"name": "libra-gateway", "port": {"name": "http"}}
    path = {"path": "/v1", "pathType": "Prefix", "backend": {"service": service}}
    assert rule == {"host": "libra.example", "http": {"paths": [path]}}
    assert not {"tls", "ingressClassName"} & set(ingress()["spec"])
    assert ("Ingress", "gateway") not in made()


def test_an_ingress_has_the_class_the_certificate_and_the_annotations_that_are_written() -> None:
    found = ingress(
        className="traefik", tlsSecretRef={"name": "libra-tls"}, annotations={"cert-manager.io/issuer": "home"}
    )

    assert found["spec"]["ingressClassName"] == "traefik"
    assert found["spec"]["tls"] == [{"hosts": ["libra.example"], "secretName": "libra-tls"}]
    assert found["metadata"]["annotations"]["cert-manager.io/issuer"] == "home"


def test_metrics_are_read_from_where_the_installation_says() -> None:
    def callers(scrape: dict[str, str] | None) -> list[object]:
        [rule] = made(Installation(scrape_namespaces=scrape))["NetworkPolicy", "tts"]["spec"]["ingress"]
        return list(rule["from"][1:])

    assert callers(None) == []
    assert callers({"team": "ops"}) == [{"namespaceSelector": {"matchLabels": {"team": "ops"}}}]
    assert callers({}) == [{"namespaceSelector": {}}]


# --- Values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quantity, expected", [("20Gi", 20 * 2**30), ("1.5Ti", 3 * 2**39), ("500M", 500_000_000), ("7", 7)]
)
def test_a_quantity_is_so_many_bytes(quantity: str, expected: int) -> None:
    assert amount(quantity) == expected


def test_what_stands_for_a_secret_is_another_for_each_assistant() -> None:
    assert value_hash("uid-1", b"token") == value_hash("uid-1", b"token") != value_hash("uid-2", b"token")
    assert len(value_hash("uid-1", b"token")) == 8
