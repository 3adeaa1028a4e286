// How large a compressed picture becomes, by its head: a few bytes can stand for more pixels than a tab has
// memory for. What cannot be told (such as AVIF, where it may stand anywhere) is the browser's to refuse.

/** Width and height, as far as the head tells. */
export function pictureSize(data: Uint8Array): [width: number, height: number] | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  try {
    switch (view.getUint32(0)) {
      case 0x89504e47: // PNG: IHDR comes first.
        return [view.getUint32(16), view.getUint32(20)];
      case 0x47494638: // GIF8
        return [view.getUint16(6, true), view.getUint16(8, true)];
      case 0x52494646: // RIFF
        return view.getUint32(8) === 0x57454250 ? ofWebp(view) : undefined;
      default:
        return view.getUint16(0) === 0xffd8 ? ofJpeg(view) : undefined;
    }
  } catch {
    // It is cut off.
    return undefined;
  }
}

// RFC 9649
function ofWebp(view: DataView): [number, number] | undefined {
  switch (view.getUint32(12)) {
    case 0x56503858: // VP8X
      return [(view.getUint32(24, true) & 0xff_ffff) + 1, (view.getUint32(27, true) & 0xff_ffff) + 1];
    case 0x5650384c: {
      // VP8L
      const bits = view.getUint32(21, true);
      return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
    }
    case 0x56503820: // VP8
      return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
    default:
      return undefined;
  }
}

function ofJpeg(view: DataView): [number, number] | undefined {
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    // Markers may be filled up.
    if (marker === 0xff) {
      at++;
      continue;
    }
    const isStartOfFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isStartOfFrame) return [view.getUint16(at + 7), view.getUint16(at + 5)];
    at += 2 + view.getUint16(at + 2);
  }
}
