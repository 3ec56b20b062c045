"""Critical points of codes by a command, held against topology; and the number of bad minima on spheres by temperature."""

import pytest

from proofs_numeric.spheres import code_census, minima_count


def stated(*rows):
    """Types by index, span, index within the span and number of Gram matrices."""
    return [code_census.Type(index, 0, 0.0, span, within, 1, grams, 1) for index, span, within, grams in rows]


def total(types, dim):
    """The sum of Euler characteristics."""
    return sum(one.grams * code_census.euler_of(one, dim) for one in types)


SIMPLEX_AND_LINES = {
    # The triangle; 2 + 1 and 3 + 0 on a line, in the plane and in space.
    2: stated((0, 2, 0, 1), (1, 1, 0, 3), (2, 1, 0, 1)),
    3: stated((0, 2, 0, 1), (2, 1, 0, 3), (4, 1, 0, 1)),
}


def test_the_sum_of_three_vectors_by_hand():
    """In space E is a convex set of matrices; in the plane its boundary, a sphere: 1 and 2."""
    assert total(SIMPLEX_AND_LINES[2], 2) == code_census.euler_of_grams(3, 2) == 2
    assert total(SIMPLEX_AND_LINES[3], 3) == code_census.euler_of_grams(3, 3) == 1


def test_the_space_of_gram_matrices():
    """With room for all ranks it is convex, with one dimension less its boundary, a sphere of dimension m(m-1)/2 - 1; in the
    plane it is a torus modulo a reflection with 2^(m-1) fixed points."""
    for vectors in range(2, 8):
        assert code_census.euler_of_grams(vectors, vectors) == 1
        assert code_census.euler_of_grams(vectors, vectors + 2) == 1
        assert code_census.euler_of_grams(vectors, 2) == 2 ** (vectors - 2)
        sphere = vectors * (vectors - 1) // 2 - 1
        assert code_census.euler_of_grams(vectors, vectors - 1) == (0 if sphere % 2 else 2)
    # Lines, planes and all of them: projective spaces, and Gr(2, 4), of Betti numbers 1, 1, 0 and 1, 1 at -1.
    assert [code_census.euler_of_subspaces(1, k) for k in (1, 2, 3, 4)] == [1, 0, 1, 0]
    assert [code_census.euler_of_subspaces(2, k) for k in (2, 3, 4)] == [1, 1, 2]


def test_an_index_that_no_number_of_copies_has_is_refused():
    with pytest.raises(ValueError, match=r"one: expected an index a \+ 2 k with a = 0, got 3"):
        code_census.euler_of(stated((3, 1, 0, 1))[0], 3)


@pytest.mark.slow
def test_the_census_of_five_vectors_in_space_has_the_sum_of_topology():
    census = code_census.take(5, 3, starts=300)
    assert census.found == census.needed == code_census.euler_of_grams(5, 3)
    # The control: no single type may be missing, but those whose characteristic is zero.
    counts = [one.grams * code_census.euler_of(one, 3) for one in census.types]
    assert sum(counts) == census.found
    assert sum(count != 0 for count in counts) >= 4
    assert [one.within for one in census.types if one.span == 3] == [one.index for one in census.types if one.span == 3]
    told = "\n".join(code_census.lines(census))
    assert told.count("\n") == 1 + len(census.types)
    assert census.line().endswith(f"{census.found} of {census.needed} |")
    best = census.types[0]
    assert (best.index, best.span, best.order, best.grams) == (0, 3, 12, 10)  # the bipyramid


@pytest.mark.slow
def test_three_classes_on_a_circle_have_a_second_minimum_beyond_the_fold():
    found = [minima_count.count(3, 2, tau, seeds=96) for tau in (4.0, 10.0)]
    assert [(one.minima, one.degenerate) for one in found] == [(1, 0), (2, 0)]
    assert found[0].best == 1.0 > found[1].best
    # The rows of the table and the picture take any cells.
    cells = [
        one._replace(dim=dim, strength=x)
        for one in found[1:]
        for dim in minima_count.DIMS
        for x in minima_count.STRENGTHS
    ]
    assert "| 2 | 3 | " + " | ".join("2" * len(minima_count.STRENGTHS)) + " |" in list(minima_count.table(cells))
    told = list(minima_count.table([one._replace(degenerate=1) for one in cells]))
    assert told[2].count("2+1") == len(minima_count.STRENGTHS)


def test_the_picture_of_the_numbers_of_minima(tmp_path):
    cells = [minima_count.Cell(dim + 1 + more, dim, x, 1 + more, 0, 1.0)
             for dim in minima_count.DIMS for more in range(2) for x in minima_count.STRENGTHS]  # fmt: skip
    minima_count.draw(cells, tmp_path / "counts.png")
    assert (tmp_path / "counts.png").read_bytes()[1:4] == b"PNG"


def test_wrong_use_is_named(capsys, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="vectors: expected at most 10, got 11"):
        code_census.take(11, 3, 10)
    with pytest.raises(ValueError, match="vectors: expected a whole number of at least 2, got 1"):
        code_census.take(1, 3, 10)
    with pytest.raises(ValueError, match="strength: expected a number above 0, got -1"):
        minima_count.count(3, 2, -1.0)
    with pytest.raises(ValueError, match="classes: "):
        minima_count.count(1, 2, 1.0)
    for module, words, said in (
        (code_census, ["--vectors", "11"], "argument --vectors: expected at least 2 and at most 10, got 11"),
        (code_census, ["--starts", "0"], "argument --starts: expected at least 1, got 0"),
        (code_census, ["--sharpness", "0"], "argument --sharpness: expected a number above 0, got 0"),
        (minima_count, ["--classes", "4"], "argument --classes: expected at least 5, got 4"),
        (minima_count, ["--out", str(tmp_path / "no" / "x.png")], "argument --out: there is no folder"),
    ):
        monkeypatch.setattr("sys.argv", ["command", *words])
        with pytest.raises(SystemExit) as ended:
            module.main()
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_the_table_of_a_small_code(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["command", "--vectors", "3", "--dim", "2", "--starts", "40", "--up-to"])
    code_census.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| 3 | 2 | 3 | 1 1 1 | 0.0 | 2 of 2 |"
    assert lines[-1].startswith("40 starts each")
