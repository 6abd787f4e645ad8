"""What agents know: their own skills, and those of their teams."""

from collections.abc import Iterable, Mapping

import msgspec

from models.administration.sections import Team
from models.domain.agent import User


def team_skills(teams: Iterable[Team]) -> dict[str, tuple[str, ...]]:
    """Return what the members of teams know by being in them: each skill once, sorted."""
    skills: dict[str, set[str]] = {}
    for team in teams:
        for name in team.members:
            skills.setdefault(name, set()).update(team.skills)
    return {name: tuple(sorted(some)) for name, some in skills.items()}


def with_team_skills(user: User, by_name: Mapping[str, tuple[str, ...]]) -> User:
    """Return a user with the skills of its teams, as `team_skills` has them, behind its own; each once."""
    skills = tuple(dict.fromkeys((*user.skills, *by_name.get(user.name, ()))))
    return user if skills == user.skills else msgspec.structs.replace(user, skills=skills)
