"""The content network in front of the Data API: the same URL gets the same answer for a while."""

from collections import OrderedDict

from starlette.responses import Response

_MOST = 4_096


class EdgeCache:
    """Answers by URL, whatever has happened since."""

    def __init__(self) -> None:
        """Start empty."""
        self._kept: OrderedDict[str, tuple[int, bytes]] = OrderedDict()
        self.hits = 0

    def find(self, url: str, now_ms: int, max_age_s: int) -> Response | None:
        """Return the answer that was given to a URL, while it is young enough."""
        known = self._kept.get(url)
        if known is None or now_ms - known[0] >= max_age_s * 1000:
            return None
        self.hits += 1
        age_s = (now_ms - known[0]) // 1000
        return _response(known[1], max_age_s, {"x-cache": "Hit from cloudfront", "age": str(age_s)})

    def keep(self, url: str, now_ms: int, max_age_s: int, body: bytes) -> Response:
        """Keep a fresh answer and return it."""
        if max_age_s:
            self._kept[url] = (now_ms, body)
            self._kept.move_to_end(url)
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return _response(body, max_age_s, {"x-cache": "Miss from cloudfront"})


def _response(body: bytes, max_age_s: int, headers: dict[str, str]) -> Response:
    control = {"cache-control": f"public, max-age={max_age_s}"}
    return Response(body, media_type="application/json", headers=control | headers)
