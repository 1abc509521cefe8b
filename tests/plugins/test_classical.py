"""Controls by scikit-learn: the same numbers as scikit-learn used directly, and kernels of default.qubit's states."""

import numpy as np
import pennylane as qml
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from qtlplat import Circuit, ConfigError, Embedding
from qtlplat.quantum.circuits.embedding import embedding_of
from qtlplat_classical import qtlplat_controls
from qtlplat_classical.learners import States, fidelities
from qtlplat_dressed import circuit
from qtlplat_dressed.options import DressedOptions

SPECS = {spec.name: spec for spec in qtlplat_controls()}
RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
TRAIN = RNG.normal(size=(60, 6)) * [1, 10, 0.1, 1, 1, 0] + LABELS[:, None]
TEST = RNG.normal(size=(15, 6)) * [1, 10, 0.1, 1, 1, 0] + 1
SEED = 5


def predicted(name, labels=LABELS, n_classes=3, embedding=None):
    fit = SPECS[name].fit(features=TRAIN, labels=labels, n_classes=n_classes, seed=SEED, embedding=embedding)
    return fit(TEST)


def standardized():
    """By hand, with statistics of the training samples."""
    spread = TRAIN.std(axis=0)
    return (TRAIN - TRAIN.mean(axis=0)) / spread, (TEST - TRAIN.mean(axis=0)) / spread


def test_logistic_regression_is_that_of_scikit_learn_on_standardized_features():
    train, test = standardized()
    expected = LogisticRegression(max_iter=10_000).fit(train, LABELS).predict_proba(test)
    np.testing.assert_allclose(predicted("logistic"), expected, atol=1e-9)


def test_fourier_features_are_those_of_the_sampler():
    train, test = standardized()
    sampler = RBFSampler(gamma=1 / (6 * train.var()), n_components=256, random_state=SEED).fit(train)
    model = LogisticRegression(max_iter=10_000).fit(sampler.transform(train), LABELS)
    np.testing.assert_allclose(predicted("fourier"), model.predict_proba(sampler.transform(test)), atol=1e-9)
    assert SPECS["fourier"].parameters(6, 3) == model.coef_.size + model.intercept_.size


def test_boosting_is_that_of_scikit_learn():
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=SEED).fit(TRAIN, LABELS)
    np.testing.assert_allclose(predicted("boosting"), model.predict_proba(TEST), atol=1e-9)


def test_the_machine_decides_as_one_that_is_fitted_to_all_samples():
    """Platt's sigmoid of scikit-learn's machine; inner folds standardize with their own training part."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    inner = StratifiedKFold(5, shuffle=True, random_state=SEED)
    model = CalibratedClassifierCV(make_pipeline(StandardScaler(), SVC()), cv=inner, ensemble=False).fit(TRAIN, LABELS)
    np.testing.assert_allclose(predicted("svm-rbf"), model.predict_proba(TEST), atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_coefficients_of_the_logistic_regression_are_counted(n_classes):
    model = LogisticRegression().fit(TRAIN, LABELS % n_classes)
    assert SPECS["logistic"].parameters(6, n_classes) == model.coef_.size + model.intercept_.size
    assert [name for name, spec in SPECS.items() if spec.parameters(6, 2) is None] == [
        "svm-rbf",
        "boosting",
        "quantum-kernel",
    ]


@pytest.mark.parametrize("name", ["logistic", "svm-rbf", "fourier", "boosting"])
def test_a_class_without_training_samples_has_the_probability_0(name):
    found = predicted(name, labels=np.where(LABELS == 1, 2, LABELS), n_classes=4)
    assert found.shape == (15, 4)
    assert (found[:, [1, 3]] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_samples_of_a_single_class_are_refused():
    with pytest.raises(ConfigError, match="all training samples are of one class"):
        predicted("logistic", labels=np.zeros(60, np.int64))
    with pytest.raises(ConfigError, match="two training samples of every class"):
        predicted("svm-rbf", labels=np.array([1] + [0] * 59))


def test_the_kernel_is_that_of_default_qubit():
    """Three qubits of the dressed circuit, its encoding written out; PCA by the singular value decomposition."""
    embedding = embedding_of(circuit(DressedOptions(qubits=3, layers=2)))
    states = States(embedding).fit(TRAIN)
    train, test = standardized()
    train, test = (np.nan_to_num(rows) for rows in (train, test))
    _, lengths, axes = np.linalg.svd(train, full_matrices=False)
    angles = [np.pi / 2 * np.tanh(rows @ axes[:3].T / lengths[:3] * np.sqrt(59)) for rows in (train, test)]

    @qml.qnode(qml.device("default.qubit", wires=3))
    def encoded(inputs):
        for wire in range(3):
            qml.Hadamard(wire)
            qml.RY(inputs[wire], wires=wire)
        return qml.state()

    one, other = (np.array([encoded(row) for row in rows]) for rows in angles)
    expected = np.abs(one.conj() @ other.T) ** 2
    found = fidelities(states.transform(TRAIN), states.transform(TEST))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    model = SVC(kernel="precomputed", tol=1e-10).fit(np.abs(one.conj() @ one.T) ** 2, LABELS)
    own = SVC(kernel=fidelities, tol=1e-10).fit(states.transform(TRAIN), LABELS)
    np.testing.assert_allclose(
        own.decision_function(states.transform(TEST)), model.decision_function(expected.T), atol=1e-6
    )
    assert predicted("quantum-kernel", embedding=embedding).shape == (15, 3)


def declared(function, n_inputs=2):
    return Circuit(function, 2, {"w": (2,)}, n_inputs=n_inputs, n_outputs=1)


def test_only_the_gates_before_the_first_trained_one_encode():
    """Inputs that are uploaded again after a trained gate are left out; entangling ones before it are not."""

    def uploaded(inputs, wires, w):
        qml.RX(inputs[0], wires[0])
        qml.CNOT(wires)
        qml.RY(inputs[1], wires[1])
        qml.RZ(w[0], wires[0])
        qml.RX(inputs[0], wires[1])
        return [qml.expval(qml.PauliZ(wires[0]))]

    @qml.qnode(qml.device("default.qubit", wires=2))
    def encoded(inputs):
        qml.RX(inputs[0], 0)
        qml.CNOT([0, 1])
        qml.RY(inputs[1], 1)
        return qml.state()

    inputs = np.random.default_rng(1).normal(size=(6, 2))
    found = embedding_of(declared(uploaded)).states(inputs)
    np.testing.assert_allclose(found, [encoded(row) for row in inputs], atol=1e-12)


def test_samples_are_computed_together_unless_their_gates_differ(monkeypatch):
    """Gates that depend on the inputs' values, and one that takes no batch, against a QNode for each sample."""
    cosine = qml.math.cos(0.3)

    def gates(inputs):
        qml.RX(inputs[0], 0)
        if inputs[1] > 0:
            qml.Hadamard(1)
        qml.ctrl(qml.RY(inputs[1] * cosine, 1), 0)
        qml.IsingXX(inputs[0], (0, 1))

    def branching(inputs, wires, w):
        gates(inputs)
        qml.StronglyEntanglingLayers(w.reshape(1, 2, 1).repeat(1, 1, 3), wires)
        return [qml.expval(qml.PauliZ(wires[0]))]

    def alike(inputs, wires, w):
        qml.AngleEmbedding(inputs, wires, rotation="X")
        qml.BasicEntanglerLayers(w[None], wires)
        return [qml.expval(qml.PauliZ(wires[0]))]

    @qml.qnode(qml.device("default.qubit", wires=2))
    def encoded(inputs, by):
        by(inputs)
        return qml.state()

    inputs = np.random.default_rng(3).normal(size=(9, 2))
    found = embedding_of(declared(branching)).states(inputs)
    np.testing.assert_allclose(found, [encoded(row, gates) for row in inputs], atol=1e-12)

    embedding, tapes, execute = embedding_of(declared(alike)), [], qml.execute
    monkeypatch.setattr(qml, "execute", lambda some, *rest, **more: tapes.extend(some) or execute(some, *rest, **more))
    found = embedding.states(inputs)
    assert len(tapes) == 3  # all samples, and two of them alone
    monkeypatch.undo()
    expected = [encoded(row, lambda x: qml.AngleEmbedding(x, range(2), rotation="X")) for row in inputs]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_circuits_without_an_embedding_are_refused():
    def weights_first(inputs, wires, w):
        qml.RX(w[0], wires[0])
        qml.RX(inputs[0] + inputs[1], wires[1])
        return [qml.expval(qml.PauliZ(wires[1]))]

    with pytest.raises(ConfigError, match="no gate that depends on its inputs comes before"):
        embedding_of(declared(weights_first))


def test_more_inputs_than_components_are_refused():
    embedding = Embedding(n_inputs=8, states=lambda inputs: inputs.astype(complex))
    with pytest.raises(ConfigError, match="the circuit has 8 inputs"):
        predicted("quantum-kernel", embedding=embedding)
