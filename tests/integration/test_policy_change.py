"""The whole service over a start with another policy: what stood is asked again first."""

from keystead.testing.swtpm import Swtpm, SwtpmCa
from tests.integration.service_harness import Installation, caller, installation


def actions(site: Installation, *, after: int) -> list[str]:
    return [event["action"] for event in site.events()[after:]]


async def test_another_policy_ends_what_it_does_not_carry_before_the_doors_open(
    other_swtpm: Swtpm, swtpm: Swtpm, swtpm_ca: SwtpmCa
) -> None:
    with installation(other_swtpm, host_ca=swtpm_ca) as site, site.workload(swtpm) as workload:
        workload.attest()
        async with caller(site, workload) as agent:
            assert (await agent.exchange()).status == 200
            before = len(site.events())
            site.kill()
            site.start()
            assert "binding.ended" not in actions(site, after=before)
            assert (await agent.exchange()).status == 200, "the same policy changes nothing"

            policy = site.folder / "appraisal.toml"
            policy.write_text(policy.read_text().replace("max_age_s = ", "max_age_s = 1 # "))
            before = len(site.events())
            site.kill()
            site.start()
            told = actions(site, after=before)
            assert told.index("binding.ended") < told.index("service.started")
            assert told.index("service.started") < told.index("policy.changed")
            status, _, reason = (await agent.exchange()).error
            assert (status, reason) == (400, "key_not_bound")
            revoked = [grant["revoked_at"] for grant in site.grants().values()]
            assert len(revoked) == 2 and all(revoked)
