"""Walls: the calls of compliance officers, readable for everyone with a role."""

from bridge.api.call import Call, after, page
from bridge.api.models import NoBody, NoQuery, Page, PageQuery, Reason
from bridge.api.wall_models import WallAdd, WallView
from config.clock import iso
from spaces.wall_store import StoredWall


async def add_wall(call: Call[NoQuery, WallAdd]) -> WallView:
    """Keep two companies apart from now on. Refused where they meet already in an open engagement."""
    body = call.body
    return _view(await call.services.walls.add(body.first, body.second, reason=body.reason, actor=call.actor))


async def list_walls(call: Call[PageQuery, NoBody]) -> Page[WallView]:
    """Walls in the order of their companies."""
    first, _, second = after(call.query).partition("/")
    rows = await call.services.walls.page(after=(first, second), limit=call.query.limit + 1)
    return page(rows, call.query, lambda item: f"{item.wall.first}/{item.wall.second}", _view)


async def remove_wall(call: Call[NoQuery, Reason]) -> WallView:
    """Let two companies meet again."""
    first, second = call.path["first"], call.path["second"]
    return _view(await call.services.walls.remove(first, second, reason=call.body.reason, actor=call.actor))


def _view(item: StoredWall) -> WallView:
    return WallView(
        first=item.wall.first,
        second=item.wall.second,
        reason=item.wall.reason,
        added_at=iso(item.added_at),
        added_by=item.added_by,
    )
