"""Training computes what NumPy does: value, type and shape of every call, or a refusal that names what it refuses."""

import warnings

import numpy as np
import pytest

import fastdl as fd

RNG = np.random.default_rng(0)
ARRAYS = {
    "three axes": RNG.normal(size=(2, 3, 4)),
    "a matrix": RNG.normal(size=(3, 3)),
    "a vector": RNG.normal(size=5),
    "a number": np.array(1.7),
    "float32": RNG.normal(size=(2, 3, 4)).astype(np.float32),
    "float16": RNG.normal(size=(2, 3)).astype(np.float16),
    "NaN and inf": np.array([[1.0, np.nan, 3, 2], [np.inf, 2, -np.inf, 0], [0.0, -0.0, 1e300, -3]]),
    "transposed": RNG.normal(size=(4, 3)).T,
    "backwards": np.asfortranarray(RNG.normal(size=(3, 4)))[::-1],
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((3, 0)),
    "one": np.ones((1, 1)),
}
CALLS = """
    np.sum(x, 0, None, None, True) | x.sum(0, np.float32) | np.sum(x,axis=(0,1)) |
    np.sum(x,axis=-1,keepdims=True) | np.sum(x,0,np.float64) | np.sum(x,where=x>0) | np.sum(x,initial=3.) |
    np.sum(x,out=None) | np.sum(x,dtype=None) | np.sum(x,axis=()) | x.sum(axis=None,keepdims=True) | np.mean(x) |
    np.mean(x,(0,1)) | np.mean(x,0,None,None,True) | x.mean(-1,np.float32) | np.mean(x,axis=()) |
    np.mean(x,axis=1,keepdims=np.True_) | np.var(x) | np.var(x,0,None,None,1) | np.var(x,ddof=1) |
    np.var(x,correction=1) | x.var(1,ddof=1) | np.var(x,mean=x.mean(0,keepdims=True),axis=0) |
    np.std(x,axis=(0,1)) | np.std(x,0,keepdims=True) | np.std(x,axis=0,correction=1) | np.prod(x) | np.prod(x,0) |
    x.prod(axis=(0,1)) | np.prod(x,0,None,None,True) | np.max(x) | np.max(x,0,None,True) | np.max(x,axis=(0,1)) |
    x.max(initial=3) | np.min(x,axis=-1) | np.amax(x,0) | np.amin(x,0,None,True) |
    np.amax(x,axis=0,keepdims=True) | np.ptp(x) | np.ptp(x,0) | np.ptp(x,0,None,True) | np.ptp(x,0,True) |
    np.ptp(x,axis=(0,1)) | np.median(x) | np.median(x,0) | np.median(x,(0,1)) | np.median(x,0,None,True) |
    np.median(x,0,None,False,True) | np.median(x,axis=1,keepdims=True) | np.median(x,overwrite_input=True) |
    np.median(x,keepdims=True) | np.cumsum(x) | np.cumsum(x,0) | np.cumsum(x,0,np.float32) | x.cumsum(-1) |
    np.average(x) | np.average(x,0) | np.average(x,0,None,True) |
    np.average(x,axis=0,weights=np.arange(1,x.shape[0]+1)) | np.average(x,weights=np.ones(x.shape,int)) |
    np.average(x,axis=(0,1)) | np.average(x,axis=0,returned=True) | np.average(x,axis=0,keepdims=True) |
    np.average(x,axis=1,weights=[1,2,3]) | np.average(x,weights=[1,2,3]) |
    np.average(x,axis=(0,1),weights=np.ones(x.shape[:2])) | np.sort(x) | np.sort(x,0) | np.sort(x,None) |
    np.sort(x,kind="stable") | np.sort(x,axis=-1,order=None) | np.sort(x,stable=True) | np.clip(x,-1,1) |
    np.clip(x,min=0) | np.clip(x,max=0) | np.clip(x,min=0,max=1) | np.clip(x,0,None) | np.clip(x,None,None) |
    np.clip(x,1,min=2) | np.clip(x,-1,1,None) | x.clip(0) | x.clip(min=0) | x.clip(-1,1,dtype=np.float32) |
    np.clip(x,np.float64(-1),1) | np.clip(x,x,1) | np.clip(a=x,a_min=0,a_max=1) | np.clip(x) | np.clip(x,1,-1) |
    np.clip(x,np.zeros(x.shape[-1:]) if x.ndim else 0,1) | np.reshape(x,-1) | np.reshape(x,(-1,)) |
    np.reshape(x,shape=(-1,)) | np.reshape(x,(-1,),"F") | np.reshape(x,(-1,),order="A") |
    np.reshape(x,-1,copy=True) | x.reshape(-1,1) | x.reshape((1,)+x.shape) | x.reshape(*x.shape,1) |
    x.reshape(-1,order="F") | x.reshape(-1,order="C") | np.ravel(x) | np.ravel(x,"C") | np.ravel(x,"F") |
    np.ravel(x,order="K") | x.ravel() | x.ravel("F") | x.flatten() | x.flatten("F") | x.flatten("C") |
    x.flatten(order="C") | np.expand_dims(x,0) | np.expand_dims(x,(0,-1)) | np.squeeze(x) | np.squeeze(x[None],0) |
    x[None].squeeze(axis=0) | np.atleast_1d(x) | np.atleast_2d(x) | np.atleast_3d(x) | np.atleast_1d(x,x) |
    np.transpose(x) | np.transpose(x,None) | x.T | x.transpose() | x.transpose(None) |
    np.transpose(x,tuple(range(x.ndim))[::-1]) | np.transpose(x,[-1-k for k in range(x.ndim)]) |
    x.transpose(*range(x.ndim)) | x.mT | np.permute_dims(x,axes=None) | np.matrix_transpose(x) |
    np.swapaxes(x,0,-1) | x.swapaxes(0,1) | np.moveaxis(x,0,-1) | np.moveaxis(x,[0,1],[1,0]) | np.rollaxis(x,1) |
    np.rollaxis(x,-1,0) | np.rollaxis(x,0,-1) | np.rollaxis(x,axis=0,start=2) | np.broadcast_to(x,(2,)+x.shape) |
    np.broadcast_to(x,(2,)+x.shape,True) | np.broadcast_to(x,(2,)+x.shape,subok=True) |
    np.broadcast_arrays(x,np.ones((2,)+x.shape)) | np.broadcast_arrays(x,x,subok=True) | np.flip(x) |
    np.flip(x,0) | np.flip(x,(0,1)) | np.flip(x,-1) | np.fliplr(x) | np.flipud(x) | np.roll(x,1) |
    np.roll(x,(1,2)) | np.roll(x,(1,2),(0,1)) | np.roll(x,1,axis=-1) | np.roll(x,1,axis=(0,1)) | np.tril(x) |
    np.triu(x,1) | np.tril(x,k=-1) | np.repeat(x,2) | np.repeat(x,2,0) | x.repeat(2,axis=-1) |
    np.repeat(x,[1]*x.shape[0],0) | np.repeat(x,0) | np.tile(x,2) | np.tile(x,(2,1)) | np.tile(x,()) |
    np.tile(x,(1,2,1,1)) | np.tile(x,0) | np.pad(x,1) | np.pad(x,(1,2)) | np.pad(x,((1,2),)) | np.pad(x,1,"edge") |
    np.pad(x,1,mode="reflect") | np.pad(x,1,"constant",constant_values=2) | np.pad(x,1,constant_values=(1,2)) |
    np.pad(x,{0:1}) | np.pad(x,1,stat_length=2) | np.pad(x,np.array([1,2])) | np.take(x,0) | np.take(x,[0,1],0) |
    np.take(x,[-1],axis=-1) | np.take(x,[0],0,None,"wrap") | np.take(x,[0],mode="clip") | x.take([0]) |
    x.take([[0,0]],1) | np.take(x,np.array([0,1],np.uint8),0) | np.take_along_axis(x,np.argsort(x,-1),-1) |
    np.take_along_axis(x,np.argsort(x,0),axis=0) | np.take_along_axis(x,np.array([0]),None) | np.diagonal(x) |
    np.diagonal(x,1) | np.diagonal(x,0,1,0) | x.diagonal(offset=-1) | np.diag(x) | np.diag(x,1) | np.diag(x,k=-1) |
    np.trace(x) | np.trace(x,1) | x.trace(0,1,0) | np.trace(x,dtype=np.float32) | np.trace(x,0,0,1,np.float32) |
    np.where(x>0,x,0) | np.where(x>0,1,x) | np.where(x>0) | np.where(x>0,x) | np.where(x,x,-x) |
    np.where([True],x,np.float32(0)) | np.where(x) | np.where(1,x,0) | np.where(x>0,x,np.int64(0)) |
    np.concatenate([x,x]) | np.concatenate((x,x),-1) | np.concatenate([x,x],axis=None) |
    np.concatenate([x,x],0,None) | np.concatenate([x,x],dtype=np.float32) | np.concatenate([x,x],casting="no") |
    np.concatenate([x,np.zeros(x.shape,np.float32)]) | np.concatenate([x,np.zeros(x.shape,int)]) |
    np.concatenate(x) | np.stack([x,x]) | np.stack([x,x],-1) | np.stack(x) |
    np.stack((x,x),axis=0,dtype=np.float32) | np.stack([x,x],0,None) | np.stack([x,1.0]) | np.concat([x,x]) |
    np.vstack([x,x]) | np.vstack(x) | np.vstack([x,x],dtype=np.float32) | np.hstack([x,x]) |
    np.hstack((x,x),casting="no") | np.dstack([x,x]) | np.column_stack([x,x]) | np.append(x,x) | np.append(x,x,0) |
    np.append(x,1.0) | np.append(1.0,x) | np.append(x,[x],0) | np.append(x,[[1.]],axis=-1) | np.block([x,x]) |
    np.split(x,1) | np.split(x,[1]) | np.split(x,[1,2],axis=-1) | np.split(x,x.shape[-1] or 1,-1) | np.split(x,5) |
    np.split(x,[2,1]) | np.split(x,[-1]) | np.array_split(x,2) | np.array_split(x,5,-1) | np.array_split(x,0) |
    np.array_split(x,[0,9]) | np.hsplit(x,[1]) | np.vsplit(x,[1]) | np.dsplit(x,[1]) | np.unstack(x) |
    np.unstack(x,axis=-1) | np.diff(x) | np.diff(x,2) | np.diff(x,1,0) | np.diff(x,0) | np.diff(x,-1) |
    np.diff(x,prepend=0) | np.diff(x,append=0,axis=0) | np.diff(x,n=9) | np.copy(x) | np.copy(x,"F") |
    np.copy(x,order="C") | x.copy() | x.copy("F") | np.copy(x,subok=True) | x.copy(order="C") | np.dot(x,2) |
    np.dot(x,x) | np.dot(x,x.T) | x.dot(np.ones(x.shape[-1:])) | np.dot(2.0,x) | np.inner(x,x) | np.inner(x,2) |
    np.vdot(x,x) | np.outer(x,x) | np.vecdot(x,x) | np.vecdot(x,x,axis=0) | np.tensordot(x,x,0) |
    np.tensordot(x,x.T,1) | np.tensordot(x,x,((0,),(0,))) | np.tensordot(x,x,axes=([-1],[-1])) |
    np.tensordot(x,x,(0,0)) | np.matmul(x,x.mT) | x@np.ones(x.shape[-1:]) | np.ones(x.shape[-2:-1])@x |
    np.matmul(x,x,axes=[(0,1),(1,0),(0,1)]) | np.einsum("...->...",x) | np.einsum("i...->...i",x) |
    np.einsum("...ij->ij",x) | np.einsum("...,...",x,x) | np.einsum("...i,...i->...",x,x) | np.einsum("ii",x) |
    np.einsum("ij->ji",x) | np.einsum("ij,jk",x,x) | np.einsum("ij,jk->ki",x,x,optimize="greedy") |
    np.einsum("ij,jk",x,x,dtype=np.float32) | np.einsum(x,[0,1],[1,0]) | np.einsum("ba",x) |
    np.einsum("ij,j->i",x,np.ones(1)) | np.einsum("bij,bjk->bik",x,x.mT) |
    np.einsum("...i,i",x,np.ones(x.shape[-1:])) | np.einsum("ij->",x) | np.einsum(" i j , j k -> i k ",x,x) |
    np.linalg.inv(x) | np.linalg.det(x) | np.linalg.solve(x,np.ones(3)) | np.linalg.solve(x,x) |
    np.linalg.solve(x,[1.,2,3]) | np.linalg.cholesky(x@x.mT+np.eye(x.shape[-1])) |
    np.linalg.cholesky(x,upper=True) | np.linalg.norm(x) | np.linalg.norm(x,1) | np.linalg.norm(x,2) |
    np.linalg.norm(x,np.inf) | np.linalg.norm(x,-np.inf) | np.linalg.norm(x,0) | np.linalg.norm(x,3) |
    np.linalg.norm(x,"fro") | np.linalg.norm(x,"nuc") | np.linalg.norm(x,axis=0) | np.linalg.norm(x,None,0,True) |
    np.linalg.norm(x,axis=(0,1)) | np.linalg.norm(x,1,axis=-1) | np.linalg.norm(x,keepdims=True) |
    np.linalg.norm(x,ord=2,axis=0,keepdims=True) | np.linalg.norm(x,"fro",axis=(0,1),keepdims=True) |
    np.linalg.norm(x,1,axis=(0,1)) | np.linalg.slogdet(x) | np.linalg.pinv(x) | np.linalg.vector_norm(x) |
    np.linalg.matrix_norm(x) | np.linalg.outer(x,x) | np.linalg.trace(x) | np.linalg.diagonal(x) |
    np.linalg.matmul(x,x.mT) | np.linalg.tensordot(x,x,0) | np.linalg.vecdot(x,x) | np.linalg.matrix_transpose(x) |
    np.add.reduce(x) | np.add.reduce(x,0,None,None,True) | np.add.reduce(x,axis=None) | np.add.reduce(x,(0,1)) |
    np.add.reduce(x,dtype=np.float32) | np.multiply.reduce(x,-1) | np.maximum.reduce(x,axis=None) |
    np.maximum.reduce(x,initial=2.) | np.add.accumulate(x) | np.add.accumulate(x,-1) |
    np.add.accumulate(x,0,np.float32) | np.multiply.accumulate(x) | np.multiply.outer(x,x) |
    np.subtract.outer(x,[1.,2]) | np.add.outer(2.0,x) | np.add.reduceat(x,[0,1]) | np.logaddexp.reduce(x,axis=-1) |
    np.maximum.outer(x,x) | np.subtract.reduce(x) | np.nan_to_num(x) | np.nan_to_num(x,nan=2.) |
    np.nan_to_num(x,True) | np.nan_to_num(x,copy=False) | np.sinc(x) | np.round(x) | np.round(x,2) |
    np.around(x,1) | x.round(1) | np.fix(x) | np.rint(x) | np.floor(x) | x//1 | x%1 | x%-2.5 | np.fmod(x,2) |
    np.mod(x,x) | np.sign(x) | np.abs(x) | abs(x) | -x | +x | np.positive(x) | np.heaviside(x,0.5) | np.unique(x) |
    np.unique(x,return_counts=True) | np.nansum(x) | np.nanmean(x) | np.nanmax(x) | np.full_like(x,x.sum()) |
    np.full_like(x,2) | np.zeros_like(x) | np.ones_like(x,dtype=np.float32) | np.real(x) | np.imag(x) | x.real |
    np.conj(x) | np.interp(0.5,x,x) | np.cumprod(x) | np.select([x>0],[x],0) | np.piecewise(x,[x>0],[1,2]) |
    np.choose([0],[x]) | np.compress([True],x) | np.extract(x>0,x) | np.delete(x,0,0) | np.insert(x,0,1.,0) |
    np.quantile(x,0.5) | np.percentile(x,50) | np.partition(x,0) | np.convolve(x,[1.,2]) | np.correlate(x,[1.]) |
    np.cov(x) | np.corrcoef(x) | np.kron(x,x) | np.cross(x,x) | np.gradient(x) | np.trapezoid(x) |
    np.meshgrid(x,x) | np.rot90(x) | np.resize(x,(3,)) | np.trim_zeros(x) | np.lexsort(x) | np.array_equal(x,x) |
    np.allclose(x,x) | np.isclose(x,x) | np.searchsorted([0.,1.],x) | np.digitize(x,[0.]) | np.count_nonzero(x) |
    np.argwhere(x>0) | np.nonzero(x) | np.histogram(x) | np.histogram(x,density=True) | np.argmax(x) |
    np.argmax(x,axis=-1,keepdims=True) | x.argmin(0) | x.argsort() | np.any(x>0) | x.all() | np.result_type(x,1) |
    np.shape(x) | np.size(x) | np.size(x,0) | np.ndim(x) | len(x) | np.iscomplexobj(x) | np.isscalar(x) |
    np.may_share_memory(x,x) | np.can_cast(x,float) | np.astype(x,np.float32) | x.astype(np.float32) |
    x.astype("f4",copy=False) | x.astype(int) | x.astype(np.float32,casting="unsafe") | x.astype(float,"C") |
    x.astype(complex) | x.astype(bool) | x.astype(object) | x.astype("U10") | x.astype(dtype=float) | x+1 | 1+x |
    x*np.float64(2) | np.float64(2)*x | np.float32(2)*x | x*np.float32(2) | x/3 | 3/x | x**2 | x**2.0 |
    x**np.int64(2) | x**0.5 | x**-1 | 2**x | np.float32(2)**x | x**x | x-True | x*np.int64(3) | x+np.ones(1) |
    np.ones(1)-x | [1.0]*x | x+np.array(2) | x@x.mT | x<1 | x==x | x!=None | 1>x | x&True | ~x | x>>1 |
    divmod(x,2) | round(x,1) | x+1j | x*"a" | x+None | np.add(x,1,dtype=np.float32) | np.add(x,1,where=x>0) |
    np.add(x,1,casting="unsafe") | np.exp(x,dtype=np.float64) | np.maximum(x,0) | np.fmax(x,np.nan) |
    np.fmin(x,0.5) | np.minimum(x,x.mean()) | np.float_power(x,2) | np.logaddexp(x,0) | np.hypot(x,1) |
    np.copysign(x,-1) | np.copysign(1.,x) | np.ldexp(x,1) | np.modf(x) | np.frexp(x) | np.nextafter(x,1) |
    np.divmod(x,2) | np.cbrt(x) | np.square(x) | np.reciprocal(x) | x[0] | x[-1] | x[...] | x[..., 0] | x[None] |
    x[:, None] | x[::-1] | x[1:0] | x[x>0] | x[[0,1]] | x[[True]*len(x)] | x[np.array([0,1])] | x[...,[0,1]] |
    x[0:2,[0,1]] | x[[0],:,[1]] | x[np.ix_([0,1],[0,1])] | x[()] | x[np.newaxis,...,np.newaxis] | x[np.int64(0)] |
    x[True] | x[np.True_] | x[np.array(0)] | x[:,-1,None] | x[np.zeros(x.shape[:1],bool)] | x["a"] | x[1.0] |
    x[99] | x[:,[0,0,1]] | x[[0,1],[1,1]] | list(x) | [r for r in x] | tuple(reversed(x)) | x.max() | x.sum() |
    sum(x) | max(x.ravel()) | sorted(x.ravel()) | x.item() | x.tolist() | float(x) | x.strides | x.nbytes |
    x.itemsize | x.dtype | x.fill(0) | x.sort() | x.view(np.float32) | x.byteswap() | x.tobytes() | x.flat[0] |
    x.imag | x.conj() | x.cumprod() | x.ptp() | x.searchsorted(1) | x.choose([1]) | x.compress([True]) |
    x.nonzero() | x.any(0) | x.device | x.to_device("cpu") | x.squeeze() | np.array(x) | np.asarray(x) |
    np.array([x,x]) | np.array([x[0],1.]) | np.float64(x) | np.float32(x.sum()) | np.full(3,x.sum()) |
    np.arange(x.sum()) | np.ascontiguousarray(x) | np.r_[x,x] | np.c_[x,x] | np.vectorize(abs)(x) |
    np.apply_along_axis(np.sum,0,x) | np.random.default_rng(0).normal(x) |
    np.random.default_rng(0).permutation(x) | np.random.normal(x,1) | np.linspace(0,x.sum(),3) | np.fft.fft(x) |
    np.ones(3)*x.sum() | np.copyto(np.zeros(x.shape),x) | np.put(np.zeros(x.shape),0,x) | np.ma.array(x) |
    np.asmatrix(x) | np.einsum_path("...",x) | np.polyval(x,2) | np.polyval([1.,2],x) | np.i0(x) | np.unwrap(x) |
    np.angle(x) | np.bincount([0,1,1],x) | np.histogram([1,2,3],weights=x) | np.searchsorted(x,0.5) |
    np.digitize(0.5,x) | np.isin(x,[1]) | np.ediff1d(x) | np.setdiff1d(x,[1.]) | np.nancumsum(x) |
    np.sort_complex(x)
"""
EXPRESSIONS = [one.strip() for line in CALLS.splitlines() for one in line.split("|") if one.strip()]
NAMED = "not in the table|traced|fd.nn.detach|expected|unsupported operand|setting an array element|axis|division"


class Written(fd.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def leaves(value):
    return [leaf for one in value for leaf in leaves(one)] if isinstance(value, (tuple, list)) else [value]


def same(one, other):
    if not isinstance(other, (np.ndarray, np.generic)):
        return one is other or one == other
    alike = type(one) is type(other) and one.dtype == other.dtype and one.shape == other.shape
    return alike and np.array_equal(one, other, equal_nan=other.dtype.kind in "fc")


def result(function, x):
    """What it gives, or what it raises."""
    try:
        return leaves(function(x))
    except Exception as error:
        return error


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_value_type_and_shape_are_those_of_numpy(text):
    function = eval(f"lambda x: {text}", {"np": np})
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, array in ARRAYS.items():
            expected, found = result(function, array.copy("K")), result(Written(function), array.copy("K"))
            if isinstance(found, Exception):
                if not isinstance(expected, Exception):  # refused by the record alone
                    assert isinstance(found, (TypeError, ValueError)), (name, found)
                    assert any(word in str(found) for word in NAMED.split("|")), (name, found)
            else:
                assert not isinstance(expected, Exception), (name, expected)
                assert len(found) == len(expected), name
                assert all(same(*pair) for pair in zip(found, expected, strict=True)), (name, found, expected)
