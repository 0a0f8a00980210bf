"""ServiceAccounts: an identity per component and one for pulls, without a token: none speaks to the API server."""

from collections.abc import Iterator

from parley_operator.resources.objects import PULL, Context, Object, metadata


def all_of(context: Context) -> Iterator[Object]:
    """Make them."""
    names = [component.name for component in context.components]
    for name in (*names, *([PULL] if context.needs() else [])):
        yield {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(context, name, name),
            "automountServiceAccountToken": False,
        }
