"""Our small networks: the forms that their arguments give."""

from __future__ import annotations

from claims import multiply_adds, on_paper, sizes


def test_digits_at_full_size_in_three_stages():
    network = on_paper("fast-digits", stride=1, stages=3)
    found = sizes(network, (1, 28, 28))
    assert found["features.0"] == (16, 28, 28)  # 5x5 with an edge of 2
    assert found["pool"] == (128,)  # the global maximum, before the last layer
    # Stem 16·25·784; 32·16·9·784 and 32·32·9·196; 64·32·9·196 and 64·64·9·49; 128·64·9·49 and 128·128·9·9; 128·10
    assert multiply_adds(network, (1, 28, 28)) == (
        313_600 + 3_612_672 + 1_806_336 + 3_612_672 + 1_806_336 + 3_612_672 + 1_327_104 + 1_280
    )


def test_half_the_maps_in_both_stages():
    found = sizes(on_paper("fast-digits", width=0.5), (1, 28, 28))
    assert [found[f"features.{n}"][0] for n in (0, 3, 7, 10, 14)] == [16, 16, 16, 32, 32]
